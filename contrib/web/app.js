// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A chat page for Parlance: plain files, no build. To serve it, put index.html, style.css, this
// file and socket.io-client's browser bundle (node_modules/socket.io-client/dist/socket.io.min.js)
// into one folder, and name that in the daemon's configuration as root of section [web].
//
// The token is typed in, or comes with the address: http://host:3000/#token=TOKEN. It is kept for
// the tab (sessionStorage), as is which conversation is open. What others wrote only ever becomes
// text nodes.
'use strict';

(() => {
  const TOKEN = 'parlance.token'; // what is kept for the tab
  const PLACE = 'parlance.conversation';
  const ACK_MS = 15000;
  const RETRY_MS = 5000;
  const PAGE = 100; // messages, or conversations, asked for at a time
  const LIST_MAX = 1000;
  const TYPING_REPEAT_MS = 2500; // the server forgets it after 6 s
  const TYPING_SHOWN_MS = 7000; // in case its end is lost
  const NEW_TITLE = 'New conversation';
  const REFUSED = ['UNAUTHENTICATED', 'TOKEN_EXPIRED', 'FORBIDDEN'];
  const WHO = { user: 'You', assistant: 'Assistant' };
  const STATES = {
    pending: 'waiting…', streaming: 'answering…', sending: 'sending…', complete: '',
  };

  const $ = (id) => document.getElementById(id);
  let socket = null;
  let retryTimer = 0;
  let me = null; // our user id
  let maxBytes = Infinity; // of a message
  let current = null; // id of the open conversation
  let opening = 0; // counts, so that what comes late for an earlier one is dropped
  let rejoining = false;
  let typedAt = 0;
  const conversations = new Map();
  const messages = new Map(); // of the open conversation
  const nodes = new Map(); // their elements
  const dirty = new Set(); // ids of those to be painted
  const streams = new Set(); // answers that run or wait in it
  const typists = new Map(); // user id: timer
  const outbox = new Map(); // messages of ours that the server has not confirmed

  // ---- tools ----

  function uuid() {
    if (crypto.randomUUID) return crypto.randomUUID(); // secure contexts only
    const b = crypto.getRandomValues(new Uint8Array(16));
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    const hex = Array.from(b, (n) => n.toString(16).padStart(2, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }

  function element(tag, className, text = '') {
    const e = document.createElement(tag);
    e.className = className;
    e.textContent = text;
    if (tag === 'button') e.type = 'button';
    return e;
  }

  // null: empties it. Where the browser forbids storage, it lasts as long as the page.
  function keep(key, value) {
    try {
      if (value) sessionStorage.setItem(key, value);
      else sessionStorage.removeItem(key);
    } catch { /* see above */ }
  }

  function kept(key) {
    try { return sessionStorage.getItem(key); } catch { return null; }
  }

  function notice(text = '') {
    $('notice').textContent = text;
    $('notice').hidden = !text;
  }

  // For buttons: a failure is shown, and ends there.
  const attempt = (work) => async () => {
    notice();
    try { await work(); } catch (error) { notice(error.message); }
  };

  // Asks for a text (when a value is given) or for a yes; null: no.
  function ask(question, value) {
    const dialog = $('dialog');
    $('question').textContent = question;
    $('answer').hidden = value === undefined;
    $('answer').value = value ?? '';
    dialog.returnValue = '';
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener('close', () => {
        resolve(dialog.returnValue === 'ok' ? $('answer').value.trim() : null);
      }, { once: true });
    });
  }

  // An event and its answer. Without a connection it fails at once: nothing is sent "whenever".
  async function call(event, payload) {
    const s = socket;
    if (!s?.connected) throw Object.assign(new Error('Not connected'), { offline: true });
    const answer = await s.timeout(ACK_MS).emitWithAck(event, payload).catch((error) => {
      throw Object.assign(error, { offline: !s.connected });
    });
    if (answer?.ok) return answer;
    throw new Error(answer?.error?.message ?? 'The server refused');
  }

  const hint = (event) => call(event, { conversationId: current }).catch(() => {});

  // ---- token and connection ----

  function takeToken() {
    const token = new URLSearchParams(location.hash.slice(1)).get('token');
    if (token) history.replaceState(null, '', location.pathname + location.search);
    return token?.trim();
  }

  function status(text, down = false) {
    $('connection').textContent = text;
    $('connection').classList.toggle('down', down);
  }

  function signOut(why = '') {
    clearTimeout(retryTimer);
    socket?.disconnect();
    socket = null;
    keep(TOKEN, null);
    conversations.clear();
    outbox.clear();
    close();
    notice();
    $('chat').hidden = true;
    $('login').hidden = false;
    $('login-error').textContent = why;
    $('token').focus();
  }

  function signIn(token) {
    if (typeof io === 'undefined') {
      signOut('socket.io.min.js is missing beside this page.');
      return;
    }
    keep(TOKEN, token);
    $('token').value = '';
    $('login').hidden = true;
    $('chat').hidden = false;
    $('create').focus();
    status('Connecting…');
    const s = io({ forceNew: true, auth: { token, stream: 'delta', aliases: 'past' } });
    socket = s;
    s.on('connect', attempt(connected));
    s.on('disconnect', (reason) => {
      if (reason === 'io server disconnect') signOut('The server ended the session.');
      else status('Reconnecting…', true);
    });
    s.on('connect_error', (error) => {
      if (REFUSED.includes(error.data?.code)) {
        signOut(error.message);
        return;
      }
      status('Cannot reach the server; trying again…', true);
      if (!s.active) retryTimer = setTimeout(() => s.connect(), RETRY_MS); // refused, for now
    });
    for (const [name, handle] of Object.entries(handlers)) s.on(name, handle);
  }

  async function connected() {
    status('Connected');
    const last = current ?? kept(PLACE); // the page may have been loaded again
    await loadList();
    const id = current ?? last;
    if (conversations.has(id)) await open(id);
    for (const m of outbox.values()) if (m.status === 'sending') deliver(m);
  }

  // ---- conversations ----

  async function loadList() {
    const seen = new Set();
    let cursor;
    do {
      const page = await call('conversation:list', { limit: PAGE, ...(cursor && { cursor }) });
      for (const c of page.conversations) {
        conversations.set(c.id, { ...conversations.get(c.id), ...c });
        seen.add(c.id);
      }
      cursor = page.nextCursor;
    } while (cursor && seen.size < LIST_MAX);
    for (const id of conversations.keys()) if (!seen.has(id)) conversations.delete(id);
    if (!conversations.has(current)) close();
    paintList();
  }

  const titleOf = (id) => conversations.get(id)?.title || 'Untitled';

  function paintList() {
    const focused = document.activeElement?.dataset.id;
    const list = [...conversations.values()];
    list.sort((a, b) => (b.lastActivity ?? '').localeCompare(a.lastActivity ?? ''));
    $('conversations').replaceChildren(...list.map((c) => {
      const button = element('button', c.unread ? 'unread' : '', titleOf(c.id));
      const item = element('li', '');
      button.dataset.id = c.id;
      button.title = titleOf(c.id);
      if (c.id === current) button.setAttribute('aria-current', 'true');
      if (c.unread) button.append(element('span', 'unseen', ' (unread)'));
      button.addEventListener('click', attempt(() => open(c.id)));
      item.append(button);
      if (c.id === focused) queueMicrotask(() => button.focus());
      return item;
    }));
    $('title').textContent = titleOf(current);
    document.title = current ? `${titleOf(current)} – Parlance` : 'Parlance';
  }

  // Who takes part in the open conversation beside us, and what we may do in it.
  const people = () => conversations.get(current)?.participants ?? [];
  const others = () => people().map((p) => p.userId).filter((user) => user !== me);

  function paintPeople() {
    const role = people().find((p) => p.userId === me)?.role;
    $('people').textContent = others().length ? `with ${others().join(', ')}` : '';
    for (const id of ['share', 'delete']) $(id).hidden = role !== 'owner';
    for (const id of ['rename', 'compose']) $(id).hidden = role === 'viewer';
    for (const id of messages.keys()) dirty.add(id);
    paint();
  }

  function change(id, fields) {
    if (!conversations.has(id)) return;
    Object.assign(conversations.get(id), fields);
    if (fields.archived) removed(id);
    else paintList();
    if (fields.participants && id === current) paintPeople();
  }

  function created(c) {
    conversations.set(c.id, { ...conversations.get(c.id), ...c });
    paintList();
  }

  function removed(id) {
    conversations.delete(id);
    if (id === current) close();
    paintList();
  }

  function showSide(shown) {
    $('chat').classList.toggle('side', shown);
    $('toggle').setAttribute('aria-expanded', String(shown));
  }

  function show(id) {
    current = id;
    keep(PLACE, id);
    opening++;
    typists.forEach((timer) => clearTimeout(timer));
    for (const all of [messages, nodes, dirty, streams, typists]) all.clear();
    $('messages').replaceChildren();
    $('earlier').hidden = true;
    $('conversation').hidden = !id;
    $('nothing').hidden = Boolean(id);
    paintActivity();
    paintPeople();
    paintList();
  }

  const close = () => show(null);

  // Opens it, or, after a reconnect, brings it up to date: what is there stays until then.
  async function open(id) {
    const again = id === current;
    if (!again) {
      stopTyping();
      if (current) ['leave:conversation', 'conversation:leave_view'].forEach(hint);
      show(id);
    }
    showSide(false);
    for (const m of outbox.values()) if (m.conversationId === id) merge(m);
    const turn = opening;
    const joined = await call('join:conversation', { conversationId: id });
    if (turn !== opening) return;
    streams.clear();
    if (joined.activeStream) streams.add(joined.activeStream.streamId);
    change(id, { ...joined.conversation, unread: false });
    await loadMessages({}, !again);
    hint('conversation:view');
    if (!again && turn === opening) $('text').focus();
  }

  async function loadMessages(range, older = true) {
    const turn = opening;
    const ask = { conversationId: current, limit: PAGE, ...range };
    const list = await call('message:list', ask);
    if (turn !== opening) return;
    const fromEnd = $('scroll').scrollHeight - $('scroll').scrollTop;
    list.messages.forEach(merge);
    if (older) $('earlier').hidden = !list.hasMore;
    paint();
    paintActivity();
    if (range.before) $('scroll').scrollTop = $('scroll').scrollHeight - fromEnd;
  }

  // ---- messages ----

  const running = (m) => m.status === 'pending' || m.status === 'streaming';
  const numbers = () => [...messages.values()].flatMap((m) => m.seq ?? []);

  // What is known of a message grows: what was read a moment ago takes no text back. The number of
  // an answer is known at its end; until then it stands behind all that have one.
  function merge(m) {
    const known = messages.get(m.id) ?? { content: '' };
    const next = { ...known, ...m, content: m.content ?? known.content };
    if (m.role === 'assistant') next.seq ??= Math.max(0, ...numbers()) + 0.5;
    const ahead = known.content.length > next.content.length || (known.status && !running(known));
    if (running(m) && ahead)
      Object.assign(next, { content: known.content, status: known.status });
    messages.set(m.id, next);
    if (!dirty.size) requestAnimationFrame(paint);
    dirty.add(m.id);
  }

  function paintMessage(m) {
    const node = nodes.get(m.id) ?? element('article', m.role);
    if (!nodes.has(m.id)) {
      node.append(element('h2', ''), element('div', 'body'), element('p', 'error'));
      nodes.set(m.id, node);
    }
    const [head, body, error] = node.children;
    node.setAttribute('aria-busy', String(running(m))); // read out when it is complete
    // A message does not say whose it is; who is alone knows it.
    const who = m.role === 'user' && others().length ? 'User' : WHO[m.role] ?? m.role;
    const label = [who, STATES[m.status] ?? m.status];
    head.textContent = label.filter(Boolean).join(' · ');
    if (body.textContent !== m.content) body.textContent = m.content;
    error.textContent = m.error?.message ?? '';
    if (m.status === 'not sent') {
      const button = element('button', '', 'Send again');
      button.addEventListener('click', () => deliver(outbox.get(m.messageId)));
      error.append(' ', button);
    }
  }

  function paint() {
    const box = $('scroll');
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    for (const id of dirty) if (messages.has(id)) paintMessage(messages.get(id));
    dirty.clear();
    const order = [...messages.values()].sort((a, b) => (a.seq ?? 1e15) - (b.seq ?? 1e15));
    order.forEach((m, i) => {
      const there = $('messages').children[i];
      if (nodes.get(m.id) !== there) $('messages').insertBefore(nodes.get(m.id), there ?? null);
    });
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  function forget(id) {
    messages.delete(id);
    nodes.get(id)?.remove();
    nodes.delete(id);
  }

  function send(content) {
    const messageId = uuid();
    const id = `local:${messageId}`;
    const m = { id, messageId, conversationId: current, role: 'user', content };
    const title = [...content.trim().split('\n')[0]].slice(0, 60).join('');
    if (!messages.size && conversations.get(current)?.title === NEW_TITLE)
      call('conversation:update', { conversationId: current, update: { title } }).catch(() => {});
    outbox.set(messageId, m);
    deliver(m);
    $('scroll').scrollTop = $('scroll').scrollHeight;
  }

  // Safe to be done again: the server takes each messageId once.
  async function deliver(m) {
    const { messageId, conversationId, content } = m;
    const tell = (fields) => {
      Object.assign(m, fields);
      if (conversationId === current) merge(m);
    };
    tell({ status: 'sending', error: null });
    try {
      const ack = await call('message:send', { conversationId, content, messageId });
      outbox.delete(messageId);
      if (conversationId !== current) return;
      forget(m.id);
      merge(ack.userMessage);
      merge({ id: ack.assistantMessageId, role: 'assistant', status: 'pending' });
      if (running(messages.get(ack.assistantMessageId))) streams.add(ack.streamId);
      paintActivity();
    } catch (error) { // offline: it goes out when the connection is back
      if (!error.offline) tell({ status: 'not sent', error: { message: error.message } });
    }
  }

  // A piece of an answer, or all of it so far (offset 0).
  function piece(d, text, offset) {
    const known = messages.get(d.assistantMessageId);
    const before = known?.content ?? '';
    if (known && !running(known)) return;
    streams.add(d.streamId);
    paintActivity();
    if (offset > before.length) { // something is missing: joining again brings a snapshot
      if (!rejoining) hint('join:conversation').finally(() => { rejoining = false; });
      rejoining = true;
    } else if (offset + text.length >= before.length) {
      const content = before.slice(0, offset) + text;
      merge({ id: d.assistantMessageId, role: 'assistant', status: 'streaming', content });
    }
  }

  // ---- typing, and what else goes on ----

  function stopTyping() {
    if (typedAt && socket?.connected) socket.emit('typing:stop', { conversationId: current });
    typedAt = 0;
  }

  function typing() {
    if (!$('text').value.trim()) stopTyping();
    else if (Date.now() - typedAt > TYPING_REPEAT_MS && socket?.connected) {
      typedAt = Date.now();
      socket.emit('typing:start', { conversationId: current });
    }
  }

  function types(user, shown) {
    clearTimeout(typists.get(user));
    typists.delete(user);
    if (shown) typists.set(user, setTimeout(() => types(user, false), TYPING_SHOWN_MS));
    paintActivity();
  }

  function paintActivity(text = 'The assistant is answering…') {
    const names = [...typists.keys()].map((user) => (user === me ? 'you, elsewhere' : user));
    const lines = names.length ? [`Typing: ${names.join(', ')}`] : [];
    if (streams.size) lines.push(text);
    $('activity').textContent = lines.join(' · ');
    $('stop').hidden = !streams.size;
  }

  function ended(d, list) {
    for (const m of list) if (m) merge(m);
    streams.delete(d.streamId);
    paintActivity();
  }

  // Only what concerns the open conversation.
  const here = (handle) => (d) => { if (d.conversationId === current) handle(d); };

  const handlers = {
    'session:ready': (d) => {
      me = d.userId;
      maxBytes = d.limits.maxContentBytes;
      $('user').textContent = me;
    },
    'server:draining': () => status('The server restarts…', true),
    'auth:expiring': () => notice('The access token runs out soon.'),
    error: (d) => { if (!d.streamId) notice(d.message); }, // others come as message:error
    'conversation:created': created,
    'conversation:updated': (d) => change(d.conversationId, d.update),
    'conversation:deleted': (d) => {
      if (d.conversationId === current) notice(`“${titleOf(current)}” is no longer there.`);
      removed(d.conversationId);
    },
    'conversation:activity': (d) => change(d.conversationId, { lastActivity: d.lastActivity }),
    'conversation:unread_status': (d) => change(d.conversationId, { unread: d.hasUnread }),
    'message:new': (d) => {
      if (d.conversationId === current) merge(d.message);
      else change(d.conversationId, { unread: true });
    },
    'message:updated': here((d) => ended(d, [d.message])),
    'message:deleted': here((d) => forget(d.messageId)),
    'ai:typing:start': here((d) => { streams.add(d.streamId); paintActivity(); }),
    'ai:retry': here((d) => paintActivity(`No answer from the AI; attempt ${d.attempt}…`)),
    'message:chunk': here((d) => piece(d, d.chunk, d.offset)),
    'message:snapshot': here((d) => piece(d, d.content, 0)),
    'message:complete': here((d) => ended(d, [d.userMessage, d.assistantMessage])),
    'message:error': here((d) => {
      ended(d, [d.assistantMessage && { ...d.assistantMessage, error: { message: d.message } }]);
    }),
    'user:typing:start': here((d) => types(d.userId, true)),
    'user:typing:stop': here((d) => types(d.userId, false)),
  };

  // ---- controls ----

  const onClick = (id, work) => $(id).addEventListener('click', work);
  onClick('logout', () => signOut());
  onClick('toggle', () => showSide(!$('chat').classList.contains('side')));
  onClick('cancel', () => $('dialog').close(''));
  onClick('stop', attempt(() => call('message:stop', { conversationId: current })));
  onClick('earlier', attempt(() => loadMessages({ before: Math.min(...numbers()) })));
  onClick('create', attempt(async () => {
    const { conversation } = await call('conversation:create', { id: uuid() });
    created(conversation);
    await open(conversation.id);
  }));
  onClick('rename', attempt(async () => {
    const id = current;
    const title = await ask('New title', titleOf(id));
    if (title) await call('conversation:update', { conversationId: id, update: { title } });
  }));
  onClick('share', attempt(async () => {
    const id = current;
    const userId = await ask('Share with the user called', '');
    const wish = { conversationId: id, userId, role: 'editor' };
    if (userId) change(id, { participants: (await call('conversation:share', wish)).participants });
  }));
  onClick('delete', attempt(async () => {
    const id = current;
    if ((await ask(`Delete “${titleOf(id)}” and all its messages?`)) === null) return;
    await call('conversation:delete', { conversationId: id });
    notice(); // we know
    removed(id);
  }));
  $('login').addEventListener('submit', (event) => {
    event.preventDefault();
    signIn($('token').value.trim());
  });
  $('compose').addEventListener('submit', (event) => {
    event.preventDefault();
    const content = $('text').value;
    if (!content.trim() || !current) return;
    notice();
    const tooMany = new TextEncoder().encode(content).length - maxBytes;
    if (tooMany > 0) {
      notice(`The message is too long by ${tooMany} bytes.`);
      return;
    }
    $('text').value = '';
    typedAt = 0; // the message says it
    send(content);
  });
  $('text').addEventListener('input', typing);
  $('text').addEventListener('blur', stopTyping);
  $('text').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $('compose').requestSubmit();
  });
  window.addEventListener('hashchange', () => {
    const token = takeToken();
    if (!token) return;
    signOut();
    signIn(token);
  });

  const token = takeToken() ?? kept(TOKEN);
  if (token) signIn(token);
  else signOut();
})();
