import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

test('every file that the page loads is served, and none needs itself', () => {
  const served = [...read('../src/web.rs').matchAll(/include_str!\("\.\.\/web\/(.+?)"\)/g)].map(([, file]) => file);
  const loaded = new Set();
  const visit = (file, path) => {
    assert.ok(!path.includes(file), `a circle: ${[...path, file].join(' → ')}`);
    loaded.add(file);
    for (const [, next] of read(`./${file}`).matchAll(/^import .* from '\.\/(.+)';$/gm)) visit(next, [...path, file]);
  };
  for (const [, file] of read('./index.html').matchAll(/(?:src|href)="\/(.+?)"/g)) visit(file, []);
  assert.deepEqual([...loaded, 'index.html'].sort(), served.sort());
});

test('the browser’s storage is touched in one place, which expects it to refuse', () => {
  const files = readdirSync(new URL('.', import.meta.url)).filter((file) => file.endsWith('.js') && !file.endsWith('.test.js'));
  const touched = files.flatMap((file) => read(`./${file}`).match(/.*(session|local)Storage.*/g) ?? []);
  assert.deepEqual(touched.map((line) => line.includes('new Kept(() => sessionStorage,')), [true]);
});
