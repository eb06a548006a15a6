/** The page: shows what the wire knows, and tells the wire what the person does. */
import { devAddCoins, devSetPrice, devToken } from './development.js';
import { Kept } from './kept.js';
import { Wire } from './wire.js';

const PRESENCE_EVERY_MS = 20_000;
const NOTICE_MS = 6_000;
const RUN_MS = 5 * 60_000; // messages of one person within this time stand close together
const BOTTOM_PX = 80; // nearer than this to the end counts as being there
const SCREEN = 30; // so many messages fill a screen
const HISTORY_PX = 300; // nearer than this to the start loads what came before
const TYPING_MS = 6_000; // from when it was heard: two clocks may differ, so the time of its end says nothing
const STOPPED_TYPING_MS = 4_000;

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);

const kept = new Kept(() => sessionStorage, () => notify(NOT_KEPT));

let wire;
let openId; // the conversation that is shown
let divider; // {from: seq, text} in the open conversation
let ledger; // the pages of transactions that are shown
let atEnd = true; // whether the open conversation is scrolled to its end, and stays there
let below = 0; // messages that came while it was not
const missed = new Map(); // conversationId → {from: seq, count}: what came while the connection was away
const typists = new Map(); // conversationId → timer, while somebody types there
const drafts = new Map(); // conversationId → text
const loading = new Set(); // conversations whose history is on its way

// Words.

const coins = (count) => `${count} ${count === 1 ? 'coin' : 'coins'}`;
const messages = (count) => `${count} new ${count === 1 ? 'message' : 'messages'}`;
const cannotRead = (count, what) => (count ? `${count} ${what}${count === 1 ? '' : 's'} can’t be read right now.` : '');
const clock = (time) => new Date(time).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });

/** What a person reads for an error code. */
const ERRORS = {
  insufficient_balance: ({ balance, price }) => `You have ${coins(balance)}; this message costs ${coins(price)}.`,
  price_changed: ({ price }) => `A message now costs ${coins(price)}.`,
  send_expired: () => 'It took too long to get through. Nothing was sent or charged.',
  client_message_id_reused: () => 'This message was mixed up with another one.',
  rate_limited: () => 'You are sending very fast. Wait a moment.',
  content_too_long: () => 'This message is longer than 10,000 characters.',
  payload_too_large: () => 'This message is too large. Send it in parts.',
  bad_request: () => 'The server could not read this.',
  content_empty: () => 'There is nothing to send.',
  blocked: () => 'You can’t write to this person.',
  forbidden: () => 'You are not allowed to do this.',
  not_a_participant: () => 'You are not part of this conversation.',
  not_found: () => 'There is nobody and nothing by this name.',
  self_conversation: () => 'This is your own name. Enter somebody else’s.',
  unauthorized: () => 'The server did not accept this name.',
  disconnected: () => 'There is no connection right now. Try again when you are online.',
  timeout: () => 'The server is taking too long to answer.',
  internal: () => 'Something went wrong on the server. Try again.',
  unavailable: () => 'The server can’t do this right now.',
};
const NOT_KEPT = 'This browser keeps nothing for this page: what is not sent yet is lost when you close or reload it.';
const inWords = ({ code, message, details = {} }) => ERRORS[code]?.(details) ?? message ?? 'Something went wrong.';

function day(time) {
  const date = new Date(time);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(time).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days < 2) return days < 1 ? 'Today' : 'Yesterday';
  if (days < 7) return date.toLocaleDateString('en-GB', { weekday: 'long' });
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : 'numeric';
  return date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year });
}

const dayOrClock = (time) => (day(time) === 'Today' ? clock(time) : day(time));

function connectionInWords() {
  if (wire.state === 'online') return 'Online';
  if (wire.state !== 'waiting') return 'Connecting…';
  const seconds = Math.ceil((wire.retryAt - Date.now()) / 1000);
  return seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…';
}

function presenceInWords(userId) {
  const { online, lastSeenAt } = wire.presence.get(userId) ?? {};
  if (online) return 'Online';
  if (!lastSeenAt) return 'Offline';
  return `Last seen ${day(lastSeenAt) === 'Today' ? 'at' : `${day(lastSeenAt)},`} ${clock(lastSeenAt)}`;
}

function transactionInWords({ kind, counterparty = 'somebody' }) {
  const words = { topup: 'Coins added', charge: `Message to ${counterparty}`, earning: `Message from ${counterparty}` };
  return words[kind] ?? { share: `Share of ${counterparty}’s message`, refund: 'Refund of an unsent message' }[kind];
}

// Drawing.

const nameOf = (conversation) => conversation.name ?? conversation.participants?.find((id) => id !== wire.user) ?? '';
const clone = (id) => $(id).content.firstElementChild.cloneNode(true);

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function drawAvatar(node, name, online = false) {
  const hue = [...name].reduce((sum, character) => (sum * 31 + character.codePointAt(0)) % 360, 7);
  write(node, [...name][0]?.toUpperCase() ?? '');
  node.style.setProperty('--hue', hue);
  node.classList.toggle('online', online);
}

/** Makes the children of `parent` those of `rows`, in order; keeps the nodes, and so the focus, of those that stay. */
function arrange(parent, rows, make, draw) {
  const focused = parent.contains(document.activeElement) && document.activeElement;
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const keys = new Set(rows.map(({ key }) => key));
  for (const [key, node] of old) if (!keys.has(key)) node.remove();
  let place = parent.firstElementChild;
  for (const row of rows) {
    const node = old.get(row.key) ?? make(row);
    node.dataset.key = row.key;
    draw(node, row);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  if (focused) focused.focus({ preventScroll: true });
}

let drawing;
/** Draws once, however many changes come together. Also in a hidden tab, for its title. */
function changed() {
  drawing ??= setTimeout(() => {
    drawing = undefined;
    draw();
  });
}

function draw() {
  if (!wire) return;
  const list = [...wire.conversations.values()].sort((a, b) => (a.lastActivityAt < b.lastActivityAt ? 1 : -1));
  const unread = list.reduce((sum, conversation) => sum + conversation.unread, 0);
  document.title = `${unread ? `(${unread}) ` : ''}${wire.user} · Parley`;
  document.body.dataset.state = wire.state;
  write($('connection'), connectionInWords());
  write($('balance').lastElementChild, wire.balance === undefined ? '–' : wire.balance.toLocaleString('en'));
  $('balance').setAttribute('aria-label', `Balance: ${coins(wire.balance ?? 0)}. Show transactions`);
  write($('ledger-balance'), `Balance: ${coins(wire.balance ?? 0)}`);
  const rows = list.map((conversation) => ({ key: conversation.conversationId, conversation }));
  arrange($('conversations'), rows, () => clone('conversation-row'), drawConversation);
  const more = wire.moreConversations && wire.state === 'online';
  write($('list-end'), more ? 'Loading more…' : cannotRead(wire.skippedConversations, 'conversation'));
  $('no-conversations').hidden = rows.length > 0 || wire.state !== 'online' || $('list-end').textContent !== '';
  drawChat();
}

function drawConversation(row, { conversation }) {
  const { conversationId, unread, lastMessage, lastActivityAt } = conversation;
  const name = nameOf(conversation);
  const last = wire.outgoing(conversationId).at(-1) ?? lastMessage;
  const unreadable = wire.unreadable.has(conversationId) && 'Something can’t be read right now';
  const typing = typists.has(conversationId);
  row.firstElementChild.onclick = () => open(conversationId);
  row.firstElementChild.setAttribute('aria-current', conversationId === openId);
  drawAvatar(row.querySelector('.avatar'), name, wire.presence.get(name)?.online);
  write(row.querySelector('.name'), name);
  write(row.querySelector('time'), dayOrClock(last?.createdAt ?? lastActivityAt));
  const preview = row.querySelector('.preview');
  preview.classList.toggle('typing', typing);
  drawTicks(preview.querySelector('svg'), typing || unreadable ? undefined : last);
  const nothing = last ? 'Message deleted' : 'No messages yet';
  write(preview.lastElementChild, typing ? 'typing…' : unreadable || last?.content || nothing);
  write(row.querySelector('.badge'), unread ? String(Math.min(unread, 999)) : '');
  row.querySelector('.badge').title = unread ? messages(unread) : '';
}

function drawTicks(svg, message) {
  const status = message?.senderId === wire.user && !message.deleted ? (message.state ?? message.status) : undefined;
  svg.toggleAttribute('hidden', !status);
  if (!status) return;
  svg.setAttribute('class', status);
  svg.setAttribute('aria-label', status);
  svg.firstElementChild.setAttribute('href', `#icon-${status === 'read' ? 'delivered' : status}`);
}

function drawChat() {
  const conversation = wire.conversations.get(openId);
  document.body.classList.toggle('chat-open', Boolean(conversation));
  $('chat').hidden = !conversation;
  $('nothing-open').hidden = Boolean(conversation);
  if (!conversation) return;
  const name = nameOf(conversation);
  const typing = typists.has(openId);
  drawAvatar($('other-avatar'), name, wire.presence.get(name)?.online);
  write($('other-name'), name);
  $('other-presence').classList.toggle('typing', typing);
  const presence = wire.state === 'online' ? presenceInWords(name) : connectionInWords();
  write($('other-presence'), typing ? 'typing…' : presence);
  $('unreadable').hidden = !wire.unreadable.has(openId);
  drawMessages();
  drawComposer(conversation, name);
  if (!loading.has(openId)) markRead();
}

function drawComposer({ price = 0 }, name) {
  write($('price'), price ? price.toLocaleString('en') : '');
  $('send').setAttribute('aria-label', price ? `Send for ${coins(price)}` : 'Send');
  $('send').title = price ? `A message to ${name} costs ${coins(price)}` : '';
  const said = wire.outgoing(openId).some(({ error }) => error?.code === 'insufficient_balance');
  const short = wire.balance < price && !said;
  write($('warning'), short ? `You have ${coins(wire.balance)}; a message to ${name} costs ${coins(price)}.` : '');
}

/** What stands in the open conversation: messages, and lines for days and for what is new. */
function messageRows() {
  const rows = [];
  let before;
  for (const message of [...wire.messages(openId), ...wire.outgoing(openId)]) {
    const own = message.senderId === wire.user;
    const newDay = day(message.createdAt) !== (before && day(before.createdAt));
    const isNew = divider !== undefined && divider.from === message.seq;
    if (newDay) rows.push({ key: `day ${day(message.createdAt)} ${message.createdAt}`, line: day(message.createdAt) });
    if (isNew) rows.push({ key: 'new', line: divider.text });
    const near = before && new Date(message.createdAt) - new Date(before.createdAt) < RUN_MS;
    const first = newDay || isNew || !near || before.senderId !== message.senderId;
    rows.push({ key: own ? message.clientMessageId : String(message.seq), message, own, first });
    before = message;
  }
  return rows;
}

function drawMessages() {
  const scroll = $('scroll');
  const shown = [...$('messages').querySelectorAll('.message')];
  const anchor = shown.find((row) => row.offsetTop + row.offsetHeight > scroll.scrollTop);
  const offset = anchor && anchor.offsetTop - scroll.scrollTop;
  const make = ({ line }) => clone(line ? 'line-row' : 'message-row');
  arrange($('messages'), messageRows(), make, (node, row) => (row.line ? drawLine(node, row) : drawMessage(node, row)));
  drawHistory(wire.messages(openId).length > 0);
  if (atEnd) scrollToEnd();
  else if (anchor?.isConnected) scroll.scrollTop = anchor.offsetTop - offset;
  drawLatest();
}

/** A screen that messages don't fill can't be scrolled, and a page that failed leaves it where it is: so there is a button. */
function drawHistory(some) {
  const waits = loading.has(openId);
  const older = wire.hasOlder(openId);
  $('history').hidden = some && !waits && !older;
  write($('history').firstElementChild, waits ? 'Loading…' : older ? '' : 'Say hello.');
  $('history').lastElementChild.hidden = waits || !older;
}

function scrollToEnd() {
  $('scroll').scrollTop = $('scroll').scrollHeight;
}

function onScroll() {
  const { scrollHeight, scrollTop, clientHeight } = $('scroll');
  atEnd = scrollHeight - scrollTop - clientHeight < BOTTOM_PX;
  drawLatest();
  const count = openId ? wire.messages(openId).length : 0;
  if (scrollTop < HISTORY_PX && count) loadHistory(count + 1);
}

function drawLine(node, { key, line }) {
  node.className = key === 'new' ? 'line new' : 'line';
  write(node.firstElementChild, line);
}

function drawMessage(node, { message, own, first }) {
  const { content, createdAt, deleted, state, error, price = 0 } = message;
  node.className = `message ${own ? 'own' : 'other'} ${first ? 'first' : ''} ${deleted ? 'deleted' : ''} ${state ?? ''}`;
  write(node.querySelector('.content'), deleted ? 'Message deleted' : content);
  const cost = node.querySelector('.cost');
  write(cost, price && !deleted ? coins(price) : '');
  const time = node.querySelector('time');
  time.dateTime = createdAt;
  write(time, clock(createdAt));
  drawTicks(node.querySelector('svg'), message);
  const failure = node.querySelector('.failure');
  failure.hidden = state !== 'failed';
  if (failure.hidden) return;
  write(failure.firstElementChild, inWords(error));
  const again = error.code === 'price_changed' ? `Send for ${coins(error.details.price)}` : 'Try again';
  write(failure.querySelector('.retry'), again);
  failure.querySelector('.retry').onclick = () => retry(message);
  failure.querySelector('.discard').onclick = () => wire.discard(message);
}

function drawLatest() {
  $('latest').hidden = atEnd;
  if (atEnd) below = 0;
  write($('latest').lastElementChild, below ? messages(below) : 'Latest');
}

// What the person does.

async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    notify(inWords(error));
  }
}

let noticeTimer;
function notify(text) {
  write($('notice'), text);
  $('notice').hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => ($('notice').hidden = true), NOTICE_MS);
}

async function open(conversationId) {
  if (conversationId === openId) return;
  close();
  openId = conversationId;
  $('text').value = drafts.get(openId) ?? '';
  below = 0;
  const { unread, readSeq } = wire.conversations.get(openId);
  const away = unread ? missed.get(openId) : undefined; // it may have been read on another device
  if (away) divider = { from: away.from, text: `While you were away: ${messages(away.count)}` };
  missed.delete(openId);
  $('messages').replaceChildren();
  await loadHistory(Math.max(unread, SCREEN));
  if (openId !== conversationId) return;
  const others = wire.messages(openId).filter(({ seq, senderId }) => seq > readSeq && senderId !== wire.user);
  if (!divider && others.length) divider = { from: others[0].seq, text: messages(others.length) };
  draw();
  const line = $('messages').querySelector('.new');
  if (line) $('scroll').scrollTop = line.offsetTop - $('scroll').clientHeight / 3;
  else scrollToEnd();
  onScroll();
  if (matchMedia('(hover: hover)').matches) $('text').focus();
  wire.refresh(conversationId).catch(() => {}); // the price may have changed
}

function close() {
  if (!openId) return;
  drafts.set(openId, $('text').value);
  wire.typing(openId, false);
  openId = divider = undefined;
  changed();
}

/** Loads pages until `count` messages of the open conversation are there. */
async function loadHistory(count) {
  const id = openId;
  const lacking = () => wire.messages(id).length < count && wire.hasOlder(id);
  if (loading.has(id) || !lacking()) return;
  loading.add(id);
  draw();
  await attempt(async () => {
    while (lacking()) await wire.loadOlder(id);
  });
  loading.delete(id);
  changed();
}

async function readAgain() {
  const id = openId;
  await attempt(() => wire.readAgain(id));
  if (id === openId && wire.unreadable.has(id)) notify('It still can’t be read. Try again later.');
}

function markRead() {
  if (openId && document.visibilityState === 'visible') wire.markRead(openId);
}

function send() {
  const content = $('text').value.trim();
  if (!openId || !content) return;
  try {
    wire.send(openId, content, wire.conversations.get(openId).price ?? 0);
  } catch (error) {
    return notify(inWords(error)); // the text stays, to be shortened
  }
  divider = undefined;
  wire.typing(openId, false);
  $('text').value = '';
  sizeText();
  atEnd = true;
  draw();
}

/** Tries again at the price that is shown now. */
function retry(outgoing) {
  const conversation = wire.conversations.get(outgoing.conversationId);
  wire.retry(outgoing, conversation.price ?? 0);
}

function sizeText() {
  $('text').style.height = 'auto';
  $('text').style.height = `${$('text').scrollHeight}px`;
}

async function startChat(name) {
  const conversation = await attempt(() => wire.openDirect(name));
  if (conversation) await open(conversation.conversationId);
}

async function showTransactions(pages = wire.transactions()) {
  if (!(await attempt(() => pages.next((action, fields) => wire.request(action, fields))))) return;
  ledger = pages;
  const rows = pages.entries.map((transaction) => ({ key: transaction.id, transaction }));
  arrange($('transactions'), rows, () => clone('transaction-row'), drawTransaction);
  write($('skipped-transactions'), cannotRead(pages.skipped, 'transaction'));
  $('no-transactions').hidden = rows.length > 0 || pages.more || pages.skipped > 0;
  $('more-transactions').hidden = !pages.more;
  if (!$('ledger').open) $('ledger').showModal();
}

function drawTransaction(row, { transaction }) {
  const { amount, createdAt } = transaction;
  write(row.querySelector('.what'), transactionInWords(transaction));
  write(row.querySelector('time'), `${day(createdAt)}, ${clock(createdAt)}`);
  write(row.querySelector('.amount'), `${amount > 0 ? '+' : '−'}${Math.abs(amount)}`);
  row.classList.toggle('gain', amount > 0);
}

// What the wire tells.

function onMessage({ detail: { message, how } }) {
  const { conversationId, senderId, seq, content } = message;
  if (senderId === wire.user || message.deleted) return;
  stopTyping(conversationId);
  if (how === 'sync') noteMissed(conversationId, seq);
  if (how === 'push') write($('announcer'), `${senderId}: ${content}`);
  if (conversationId === openId && !atEnd) below += 1;
}

function noteMissed(conversationId, seq) {
  const away = missed.get(conversationId) ?? { from: seq, count: 0 };
  away.count += 1;
  missed.set(conversationId, away);
  if (conversationId === openId) divider = { from: away.from, text: `While you were away: ${messages(away.count)}` };
}

function onTyping({ detail: { conversationId, userId, typing } }) {
  if (userId === wire.user) return; // on another device
  stopTyping(conversationId);
  if (typing) typists.set(conversationId, setTimeout(() => stopTyping(conversationId), TYPING_MS));
}

function stopTyping(conversationId) {
  clearTimeout(typists.get(conversationId));
  typists.delete(conversationId);
  changed();
}

function onState({ detail: { state } }) {
  if (state === 'waiting') missed.delete(openId); // a new absence begins
  changed();
}

// Start.

async function signIn(typed) {
  const name = typed.toWellFormed(); // a field that is full can cut an emoji in half
  if ((await attempt(() => devToken(name))) === undefined) return showSignIn();
  kept.set('parley.name', name);
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
  wire = new Wire({ user: name, url, token: () => devToken(name), kept });
  wire.addEventListener('state', onState);
  wire.addEventListener('change', changed);
  wire.addEventListener('balance', changed);
  wire.addEventListener('message', onMessage);
  wire.addEventListener('typing', onTyping);
  wire.start();
  write($('my-name'), name);
  drawAvatar($('my-avatar'), name);
  $('sign-in').hidden = true;
  $('app').hidden = false;
  if (address.get('with')) startChat(address.get('with'));
}

function showSignIn() {
  $('sign-in').hidden = false;
  $('sign-in-name').focus();
}

function signOut() {
  wire.stop();
  kept.clear();
  location.assign('/');
}

function onSubmit(id, action) {
  $(id).addEventListener('submit', (event) => {
    event.preventDefault();
    action();
  });
}

let pause;
function onInput() {
  sizeText();
  clearTimeout(pause);
  if (!openId) return;
  const id = openId;
  wire.typing(id, $('text').value !== '');
  pause = setTimeout(() => wire.typing(id, false), STOPPED_TYPING_MS);
}

function onKey(event) {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
}

onSubmit('sign-in', () => signIn($('sign-in-name').value.trim()));
onSubmit('composer', send);
onSubmit('start', () => {
  startChat($('start-name').value.trim());
  $('start-name').value = '';
});
onSubmit('set-price', () => attempt(async () => {
  await devSetPrice(wire.user, Number($('my-price').value));
  $('development').open = false;
  notify(`A message to you now costs ${coins(Number($('my-price').value))}.`);
}));
$('add-coins').onclick = () => attempt(async () => {
  await devAddCoins(wire.user, 100);
  await wire.refreshBalance();
});
$('sign-out').onclick = signOut;
$('back').onclick = close;
$('history').lastElementChild.onclick = () => loadHistory(wire.messages(openId).length + 1);
$('unreadable').lastElementChild.onclick = readAgain;
$('balance').onclick = () => showTransactions();
$('more-transactions').onclick = () => showTransactions(ledger);
$('ledger-close').onclick = () => $('ledger').close();
$('latest').onclick = () => $('scroll').scrollTo({ top: $('scroll').scrollHeight, behavior: 'smooth' });
$('text').addEventListener('input', onInput);
$('text').addEventListener('keydown', onKey);
$('scroll').addEventListener('scroll', onScroll);
new ResizeObserver(() => atEnd && scrollToEnd()).observe($('scroll'));
document.addEventListener('click', (event) => {
  if (!$('development').contains(event.target)) $('development').open = false;
});
$('development').addEventListener('keydown', (event) => {
  if (event.key === 'Escape') $('development').open = false;
});
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState !== 'visible' || !wire) return;
  wire.check();
  markRead();
});
addEventListener('online', () => wire?.check());
setInterval(() => document.visibilityState === 'visible' && wire?.refreshPresence(), PRESENCE_EVERY_MS);
setInterval(() => wire?.state === 'waiting' && changed(), 1_000);

const name = address.get('as') ?? kept.get('parley.name');
if (name) signIn(name);
else showSignIn();
