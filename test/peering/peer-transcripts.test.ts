import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { playPeers } from "./peer-transcript.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "test", "transcripts", "peers");

for (const file of readdirSync(folder))
  test(`peers' transcript ${file}`, async () => {
    const path = join(folder, file);
    const written = readFileSync(path, "utf8");
    const played = await playPeers(written);
    if (process.env["UPDATE"] === "1") writeFileSync(path, played);
    else assert.equal(played, written, `${file} is not what the server does; UPDATE=1 npm test rewrites it`);
    assert.match(played, /^server /m, "a transcript in which the server says nothing shows nothing");
  });
