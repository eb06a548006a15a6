import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeServer, held, until } from './fake-server.js';
import { Kept } from './kept.js';

const refuses = () => {
  throw new Error('SecurityError');
};

test('a text is kept until all is forgotten', () => {
  const texts = new Map();
  const storage = {
    getItem: (key) => texts.get(key) ?? null,
    setItem: (key, text) => texts.set(key, text),
    removeItem: (key) => texts.delete(key),
    clear: () => texts.clear(),
  };
  const kept = new Kept(() => storage, assert.fail);
  assert.equal(kept.get('a'), undefined);
  kept.set('a', 'b');
  assert.equal(new Kept(() => storage).get('a'), 'b');
  kept.clear();
  assert.equal(kept.get('a'), undefined);
});

test('whatever a storage refuses, nothing is thrown, and it is told once', () => {
  const full = { getItem: () => null, setItem: refuses, removeItem: () => {}, clear: () => {} };
  const broken = { getItem: refuses, setItem: refuses, removeItem: refuses, clear: refuses };
  for (const open of [refuses, () => null, () => undefined, () => full, () => broken]) {
    let told = 0;
    const kept = new Kept(open, () => (told += 1));
    for (let round = 0; round < 2; round += 1) {
      assert.equal(kept.get('a'), undefined);
      kept.set('a', 'b');
      kept.clear();
    }
    assert.equal(told, 1);
  }
});

test('something that is no text is nothing', () => {
  assert.equal(new Kept(() => ({ getItem: () => ({}) }), assert.fail).get('a'), undefined);
});

test('who has no storage sends, and is told once that nothing is kept', async (t) => {
  let told = 0;
  const server = new FakeServer();
  const wire = server.wire(t, { kept: new Kept(refuses, () => (told += 1)) });
  for (const content of ['one', 'two']) wire.send('c', content, 0);
  await until(wire, () => held(wire).length === 2);
  assert.deepEqual([wire.outgoing('c'), told], [[], 1]);
});
