/** What is possible on one machine only: the server makes any token, and an administrator's token makes coins. */
import { encode, WireError } from './connection.js';
import { timeOrderedId } from './outbox.js';

async function call(method, path, body, token) {
  const authorization = token ? { authorization: `Bearer ${token}` } : {};
  const headers = { 'content-type': 'application/json', ...authorization };
  const response = await fetch(path, { method, headers, body: encode(body) }).catch(() => {
    throw new WireError({ code: 'disconnected', retryable: true });
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new WireError(answer.error ?? { code: 'unavailable', retryable: true });
  return answer;
}

const inPath = (userId) => encodeURIComponent(userId.toWellFormed()); // which throws at half of an emoji

/** A token for a user. @returns {Promise<string>} */
export async function devToken(sub, roles) {
  return (await call('POST', '/dev/token', { sub, roles })).token;
}

/** Gives a user coins. */
export async function devAddCoins(userId, amount) {
  const credit = { amount, idempotencyKey: timeOrderedId() };
  await call('POST', `/api/wallets/${inPath(userId)}/credits`, credit, await devToken('admin', ['admin']));
}

/** Sets what a direct message to a user costs. */
export async function devSetPrice(userId, price) {
  await call('PUT', `/api/users/${inPath(userId)}/price`, { price }, await devToken('admin', ['admin']));
}
