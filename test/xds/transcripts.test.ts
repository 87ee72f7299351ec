import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { play } from "./transcript.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "test", "transcripts");
const transcripts = readdirSync(folder)
  .filter((file) => file.endsWith(".txt"))
  .map((file) => file.slice(0, -".txt".length));

for (const name of transcripts)
  test(`transcript ${name}`, () => {
    const path = join(folder, `${name}.txt`);
    const written = readFileSync(path, "utf8");
    const played = play(written);
    if (process.env["UPDATE"] === "1") writeFileSync(path, played);
    else assert.equal(played, written, `${name}.txt is not what the server does; UPDATE=1 npm test rewrites it`);
    assert.match(played, /^server {2}/m, "a transcript in which the server says nothing shows nothing");
  });
