// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What the types must refuse. Each line is marked; the compiler complains about a mark whose line is
// right. It is compiled, not run.

import { io, type Socket } from "socket.io-client";
import type {
	AcknowledgedEvents,
	ClientToServerEvents,
	ConnectAuth,
	ErrorCode,
	MessageStatus,
	ServerToClientEvents,
} from "../../contrib/client/events.js";

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
const asking: Socket<ServerToClientEvents, AcknowledgedEvents> = io();
const id = "018f0000-0000-7000-8000-000000000000";

// ---- names ----

// @ts-expect-error: a client's event that does not exist
socket.emit("message:sent", { conversationId: id, content: "" });
// @ts-expect-error: only the server sends it
socket.emit("message:chunk", { conversationId: id });
// @ts-expect-error: a server's event that does not exist
socket.on("message:chunks", () => undefined);
// @ts-expect-error: only clients send it
socket.on("message:send", () => undefined);
// @ts-expect-error: a client's event that does not exist, awaited
void asking.emitWithAck("conversation:rename", { conversationId: id });

// ---- arguments ----

// @ts-expect-error: content is missing
socket.emit("message:send", { conversationId: id });
// @ts-expect-error: content is text
socket.emit("message:send", { conversationId: id, content: 1 });
// @ts-expect-error: a member that does not exist
socket.emit("message:send", { conversationId: id, content: "", onbusy: "queue" });
// @ts-expect-error: a value that does not exist
socket.emit("message:send", { conversationId: id, content: "", onBusy: "wait" });
// @ts-expect-error: no bare id here
socket.emit("message:send", id);
// @ts-expect-error: no bare id here
socket.emit("conversation:update", id);
// @ts-expect-error: there is no argument
socket.emit("join:conversation");
// @ts-expect-error: an id is text
socket.emit("join:conversation", 7);
// @ts-expect-error: an owner cannot be made
socket.emit("conversation:share", { conversationId: id, userId: "bob", role: "owner" });
// @ts-expect-error: participants are changed by conversation:share
socket.emit("conversation:update", { conversationId: id, update: { participants: [] } });
// @ts-expect-error: archived is never null
socket.emit("conversation:update", { conversationId: id, update: { archived: null } });
// @ts-expect-error: content is missing, awaited
void asking.emitWithAck("message:send", { conversationId: id });
// @ts-expect-error: the limit is a number
void asking.emitWithAck("message:list", { conversationId: id, limit: "50" });
// @ts-expect-error: content is missing, awaited without AcknowledgedEvents
void socket.emitWithAck("message:send", { conversationId: id });
// @ts-expect-error: AcknowledgedEvents have an acknowledgement
asking.emit("conversation:delete", id);

// ---- acknowledgements ----

socket.emit("message:send", { conversationId: id, content: "" }, (answer) => {
	// @ts-expect-error: it may have failed
	void answer.userMessage;
	// @ts-expect-error: it may have succeeded
	void answer.error;
	if (answer.ok) {
		// @ts-expect-error: a member that does not exist
		void answer.message;
		// @ts-expect-error: position may be absent
		answer.position.toFixed();
	} else {
		// @ts-expect-error: an error that message:send does not have
		void (answer.error.code === "CONFLICT");
		// @ts-expect-error: only conversation:update tells the current row
		void answer.conversation;
	}
});
// @ts-expect-error: an acknowledgement is one object
socket.emit("ping", (answer, more) => void more);
// @ts-expect-error: ping has no argument
socket.emit("ping", { time: "" });
void asking.emitWithAck("conversation:list", {}).then((answer) => {
	// @ts-expect-error: it may have failed
	void answer.conversations;
	// @ts-expect-error: nextCursor may be null
	if (answer.ok) void answer.nextCursor.length;
});
// @ts-expect-error: the acknowledgement is a function
asking.emit("conversation:delete", id, true);

// ---- events ----

socket.on("message:chunk", (data) => {
	// @ts-expect-error: content is absent with stream "delta"
	void data.content.length;
	// @ts-expect-error: a member that does not exist
	void data.text;
	// @ts-expect-error: seq is a number
	void data.seq.length;
});
socket.on("message:complete", (data) => {
	// @ts-expect-error: usage may be null
	void data.usage.totalTokens;
	// @ts-expect-error: a reason that does not exist
	void (data.finishReason === "done");
});
socket.on("message:new", ({ message }) => {
	// @ts-expect-error: a status that does not exist
	void (message.status === "done");
	// @ts-expect-error: parentId may be null
	void message.parentId.length;
});
// @ts-expect-error: an event has one argument
socket.on("conversation:created", (conversation, offset) => void offset);
// @ts-expect-error: the conversation itself is the argument
socket.on("conversation:create", ({ conversation }) => void conversation);

// ---- values ----

// @ts-expect-error: a code that does not exist
export const code: ErrorCode = "TEAPOT";
// @ts-expect-error: a status that does not exist
export const status: MessageStatus = "done";
// @ts-expect-error: a mode that does not exist
export const auth: ConnectAuth = { token: "", stream: "slow" };
