import assert from "node:assert/strict";
import { test } from "mocha";
import { IdentityRecords } from "../../src/ca/identity-records.ts";
import { debugPages } from "../../src/commands/debug-pages.ts";
import { NOW, viewedMesh } from "./served-mesh.ts";

const CART = "spiffe://east.test/ns/shop/sa/cart";
const WEB = "spiffe://east.test/ns/shop/sa/web";

interface Shown {
  readonly matching: number;
  readonly identities: readonly Record<string, unknown>[];
}

function certz(identities: IdentityRecords, query: string): unknown {
  const viewed = viewedMesh([]);
  const pages = debugPages({ ...viewed, issuances: { ...viewed.issuances, identities } });
  return pages.find(({ name }) => name === "certz")!.render(new URLSearchParams(query));
}

const issued = (entries: readonly string[]) => ({
  ...{ at: NOW - 60_000, until: NOW + 3_540_000, signer: "SPIRE", entries, node: "node-1" },
});

test("certz says of an identity who signed for it, what vouched, for which node and until when", () => {
  const records = new IdentityRecords();
  records.issued(WEB, issued(["entry-web"]));
  records.issued(CART, issued(["entry-1", "entry-2"]));
  assert.deepEqual(certz(records, "identity=sa/cart"), {
    matching: 1,
    identities: [
      {
        identity: CART,
        signer: "SPIRE",
        entries: ["entry-1", "entry-2"],
        node: "node-1",
        issued_at: "2026-11-21T05:59:00.000Z",
        until: "2026-11-21T06:59:00.000Z",
        expires_in_seconds: 3540,
      },
    ],
  });
});

test("certz says why an identity was refused last, beside the certificate that it still has", () => {
  const records = new IdentityRecords();
  records.issued(CART, issued(["entry-1"]));
  records.refused(CART, { at: NOW, why: "SPIRE has no registration entry", node: undefined });
  records.refused(WEB, { at: NOW, why: "nobody vouches", node: "node-2" });
  const { identities } = certz(records, "identity=") as Shown;
  assert.deepEqual(
    identities.map(({ identity, signer, refused }) => [identity, signer, refused]),
    [
      [WEB, undefined, { at: "2026-11-21T06:00:00.000Z", why: "nobody vouches", node: "node-2" }],
      [CART, "SPIRE", { at: "2026-11-21T06:00:00.000Z", why: "SPIRE has no registration entry", node: "" }],
    ],
  );
});

test("certz shows a hundred identities at most, those that were asked for last, and counts them all", () => {
  const records = new IdentityRecords();
  for (let count = 0; count < 150; count += 1) records.issued(`spiffe://east.test/ns/a/sa/${count}`, issued([]));
  const whole = certz(records, "") as { readonly last_identities: Shown };
  for (const { matching, identities } of [whole.last_identities, certz(records, "identity=/ns/a/") as Shown]) {
    assert.deepEqual([matching, identities.length], [150, 100]);
    assert.equal(identities[0]!["identity"], "spiffe://east.test/ns/a/sa/149");
  }
  assert.equal((certz(records, "identity=/ns/b/") as Shown).matching, 0);
});
