import assert from "node:assert/strict";
import { test } from "mocha";
import { knownHoles, whyNotNode } from "../src/runtime.ts";

test("a Node that is too old is refused, with what to do", () => {
  for (const version of ["18.20.0", "20.20.1", "20.9.0"])
    assert.match(whyNotNode(version) ?? "", /and 20\.20\.2 is the oldest that it runs on/, version);
  for (const version of ["20.20.2", "20.21.0", "22.0.0", "24.1.0", process.versions.node])
    assert.equal(whyNotNode(version), undefined, version);
});

test("a Node with holes that are known is named, with what to run instead", () => {
  for (const version of ["20.20.1", "21.7.3", "22.22.1", "23.11.0", "24.14.0", "24.2.9"])
    assert.match(knownHoles(version) ?? "", /run 20\.20\.2, 22\.22\.2, 24\.14\.1 or newer/, version);
  for (const version of ["20.20.2", "20.21.0", "22.22.2", "22.23.0", "24.14.1", "24.15.0", "25.0.0", "26.1.0"])
    assert.equal(knownHoles(version), undefined, version);
});
