// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What web developers write, with every event both ways. It is compiled, not run; the types see to it
// that no event is missing.

import { io, type Socket } from "socket.io-client";
import type {
	AcknowledgedEvents,
	ChatError,
	ClientToServerEvents,
	ConnectAuth,
	ConnectRefusal,
	Conversation,
	ErrorCode,
	Message,
	MessageSendAnswer,
	ServerToClientEvents,
} from "../../contrib/client/events.js";

type ChatSocket = Socket<ServerToClientEvents, ClientToServerEvents>;
type AskingSocket = Socket<ServerToClientEvents, AcknowledgedEvents>;

const auth: ConnectAuth = { token: "your-jwt-token", stream: "full", aliases: "both" };
const socket: ChatSocket = io("http://localhost:3000", { auth });
const asking: AskingSocket = socket;

function print(...texts: string[]): void {
	void texts;
}

// ---- connecting ----

socket.on("connect_error", (error) => {
	const refusal = (error as Error & { data?: ConnectRefusal }).data;
	if (refusal?.code === "TOKEN_EXPIRED") print("Sign in again");
});

// ---- sending a message, receiving the answer, joining ----

socket.emit("message:send", {
	conversationId: "conv-id",
	content: "Hello AI!",
});

socket.on("message:chunk", (data) => {
	print("AI chunk:", data.chunk);
	if (data.content !== undefined) print("Full content so far:", data.content);
});

socket.on("message:complete", (data) => {
	print("Complete messages:", data.userMessage?.content ?? "", data.assistantMessage.content);
});

socket.emit("join:conversation", "conversation-id");

// ---- every event from the server ----

let conversations = new Map<string, Conversation>();
let messages = new Map<string, Message>();
let texts = new Map<string, string>();

function keep(conversation: Conversation): void {
	conversations.set(conversation.id, conversation);
}

function change({ conversationId, update, version }: Parameters<ServerToClientEvents["conversation:update"]>[0]): void {
	const known = conversations.get(conversationId);
	if (known) conversations.set(conversationId, { ...known, ...update, version });
}

function drop({ conversationId }: { conversationId: string }): void {
	conversations.delete(conversationId);
}

function explain(error: ChatError): void {
	const later: ErrorCode[] = ["BUSY", "RATE_LIMITED", "UNAVAILABLE"];
	if (later.includes(error.code)) print(`Again in ${error.retryAfterMs ?? 1000} ms`);
	else print(error.event, error.message, error.messageId ?? "", error.streamId ?? "");
}

const typists = new Set<string>();
let present = new Set<string>();

const listeners: ServerToClientEvents = {
	"session:ready": ({ userId, expiresAt, recovered, limits, activeStreams }) => {
		print(userId, expiresAt ?? "never", limits.maxContentBytes.toFixed());
		if (recovered) return;
		for (const { conversationId } of activeStreams) socket.emit("join:conversation", conversationId);
	},
	"auth:expiring": ({ expiresAt }) => print(expiresAt),
	"auth:expired": ({ expiresAt }) => print(expiresAt),
	"server:draining": ({ reconnectInMs, reason }) => print(reason, reconnectInMs.toFixed()),
	"presence:update": ({ userId, online }) => (online ? present.add(userId) : present.delete(userId)),
	pong: ({ time }) => print(new Date(time).toISOString()),
	error: explain,
	"conversation:joined": ({ conversationId }) => print(conversationId),
	"conversation:left": ({ conversationId }) => print(conversationId),
	"conversation:create": keep,
	"conversation:created": keep,
	"conversation:update": change,
	"conversation:updated": change,
	"conversation:delete": drop,
	"conversation:deleted": drop,
	"conversation:activity": ({ conversationId, lastActivity, messageCount, totalTokens }) => {
		const known = conversations.get(conversationId);
		if (known) conversations.set(conversationId, { ...known, lastActivity, messageCount, totalTokens });
	},
	"conversation:unread_status": ({ conversationId, hasUnread, socketId }) => {
		if (!hasUnread && socketId !== socket.id) print(conversationId);
	},
	"message:new": ({ message, messageId }) => {
		messages.set(message.id, message);
		print(messageId ?? message.id);
	},
	"ai:typing:start": ({ conversationId, assistantMessageId, streamId, messageId }) => {
		texts.set(streamId, "");
		print(conversationId, assistantMessageId, messageId ?? "");
	},
	"ai:typing:stop": ({ streamId }) => texts.delete(streamId),
	"message:chunk": ({ streamId, offset, chunk, content, seq }) => {
		const text = texts.get(streamId) ?? "";
		texts.set(streamId, content ?? text.slice(0, offset) + chunk);
		print(seq.toFixed());
	},
	"message:snapshot": ({ streamId, content, status }) => {
		if (status === "streaming") texts.set(streamId, content);
	},
	"message:complete": ({ assistantMessage, conversation, usage, finishReason }) => {
		messages.set(assistantMessage.id, assistantMessage);
		keep(conversation);
		if (finishReason === "length") print(`Cut off after ${usage?.completionTokens ?? "?"} tokens`);
	},
	"message:error": (error) => {
		messages.set(error.assistantMessage.id, error.assistantMessage);
		explain(error);
	},
	"message:updated": ({ message }) => messages.set(message.id, message),
	"message:deleted": ({ messageId }) => messages.delete(messageId),
	"typing:start": ({ userId }) => typists.add(userId),
	"typing:stop": ({ userId }) => typists.delete(userId),
	"user:typing:start": ({ userId }) => typists.add(userId),
	"user:typing:stop": ({ userId }) => typists.delete(userId),
};

for (const name of Object.keys(listeners) as (keyof ServerToClientEvents)[])
	socket.on(name, listeners[name] as (...payload: unknown[]) => void);
socket.once("conversation:created", keep);

// What an application publishes, as README.md of contrib/client has it.
type FromServer = ServerToClientEvents & { "invoice:paid": (data: { id: number }) => void };
const extended: Socket<FromServer, ClientToServerEvents> = io("http://localhost:3000");
extended.on("invoice:paid", (data) => print(data.id.toFixed()));
extended.on("pong", ({ time }) => print(time));
socket.off("conversation:created", keep);

// ---- every event to the server: without an acknowledgement, with one, and awaited ----

function sent(answer: MessageSendAnswer): void {
	if (!answer.ok) {
		if (answer.error.code === "BUSY") print("An answer is being generated");
		return;
	}
	messages.set(answer.userMessage.id, answer.userMessage);
	if (answer.queued) print(`Waits at ${answer.position ?? 1}`);
}

const id = "018f0000-0000-7000-8000-000000000000";

const senders: { [Event in keyof ClientToServerEvents]: () => Promise<void> } = {
	"auth:refresh": async () => {
		socket.emit("auth:refresh", { token: "another" });
		const answer = await asking.emitWithAck("auth:refresh", { token: "another" });
		print(answer.ok ? (answer.expiresAt ?? "never") : answer.error.message);
	},
	"conversation:create": async () => {
		socket.emit("conversation:create", {});
		socket.emit("conversation:create", { id, title: "T", model: null, systemPrompt: "Be brief", metadata: { a: 1 } });
		const answer = await asking.emitWithAck("conversation:create", { title: "T" });
		if (answer.ok) keep(answer.conversation);
	},
	"conversation:delete": async () => {
		socket.emit("conversation:delete", id);
		const answer = await asking.emitWithAck("conversation:delete", { conversationId: id });
		if (!answer.ok && answer.error.code === "FORBIDDEN") print("Only its owner can delete it");
	},
	"conversation:leave_view": async () => {
		socket.emit("conversation:leave_view", { conversationId: id });
		print((await asking.emitWithAck("conversation:leave_view", id)).ok ? "ok" : "failed");
	},
	"conversation:list": async () => {
		let cursor: string | null = null;
		conversations = new Map();
		do {
			const answer: Parameters<Parameters<AcknowledgedEvents["conversation:list"]>[1]>[0] =
				await asking.emitWithAck("conversation:list", { cursor, limit: 100, archived: false });
			if (!answer.ok) return explain(answer.error);
			answer.conversations.forEach(keep);
			cursor = answer.nextCursor;
		} while (cursor !== null);
	},
	"conversation:share": async () => {
		socket.emit("conversation:share", { conversationId: id, userId: "bob", role: "viewer" }, (answer) => {
			if (answer.ok) print(answer.participants.map(({ userId, role }) => `${userId}: ${role}`).join());
		});
	},
	"conversation:unshare": async () => {
		const answer = await asking.emitWithAck("conversation:unshare", { conversationId: id, userId: "bob" });
		if (answer.ok) print(answer.participants.length.toFixed());
	},
	"conversation:update": async () => {
		const update = { title: "T2", archived: true, systemPrompt: null };
		const answer = await asking.emitWithAck("conversation:update", { conversationId: id, update, version: 1 });
		if (answer.ok) keep(answer.conversation);
		else if (answer.conversation) keep(answer.conversation);
	},
	"conversation:view": async () => {
		socket.emit("conversation:view", { conversationId: id });
	},
	"join:conversation": async () => {
		const answer = await asking.emitWithAck("join:conversation", { conversationId: id, sinceSeq: 12 });
		if (!answer.ok) return explain(answer.error);
		messages = new Map((answer.messages ?? []).map((message) => [message.id, message]));
		if (answer.activeStream) texts.set(answer.activeStream.streamId, "");
	},
	"leave:conversation": async () => {
		socket.emit("leave:conversation", id);
	},
	"message:list": async () => {
		const answer = await asking.emitWithAck("message:list", { conversationId: id, before: 100, limit: 50 });
		if (answer.ok) print(answer.messages.length.toFixed(), String(answer.hasMore));
	},
	"message:send": async () => {
		socket.emit("message:send", { conversationId: id, content: "Hello", messageId: "m1" }, sent);
		socket.timeout(5000).emit("message:send", { conversationId: id, content: "Hello" }, (error, answer) => {
			if (error) print("no answer");
			else sent(answer);
		});
		sent(
			await asking.emitWithAck("message:send", {
				conversationId: id,
				content: "Hello",
				parentId: id,
				model: "small",
				options: { temperature: 0 },
				onBusy: "interrupt",
			}),
		);
	},
	"message:stop": async () => {
		const answer = await asking.emitWithAck("message:stop", { conversationId: id, streamId: id });
		if (answer.ok && !answer.stopped) print("It had ended");
	},
	ping: async () => {
		socket.emit("ping");
		socket.emit("ping", (answer) => print(answer.ok ? answer.time : answer.error.message));
		const answer = await asking.emitWithAck("ping");
		if (answer.ok) print(answer.time);
	},
	"presence:get": async () => {
		const answer = await asking.emitWithAck("presence:get", { userIds: ["bob"] });
		if (answer.ok) print(answer.online.join());
	},
	"presence:subscribe": async () => {
		const answer = await asking.emitWithAck("presence:subscribe", { conversationId: id });
		if (answer.ok) present = new Set(answer.online);
	},
	"typing:start": async () => {
		socket.emit("typing:start", id);
	},
	"typing:stop": async () => {
		socket.emit("typing:stop", { conversationId: id }, (answer) => answer.ok || explain(answer.error));
	},
};

void Promise.all(Object.values(senders).map((send) => send()));
