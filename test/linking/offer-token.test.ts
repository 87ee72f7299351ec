import assert from "node:assert/strict";
import { hash } from "node:crypto";
import fc from "fast-check";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { AHEAD_MS_MAX, type Offer, OFFER_MS_MAX } from "../../src/linking/offer.ts";
import { decodeOffer, digitsOf, encodeOffer } from "../../src/linking/offer-token.ts";
import { pemBlocks } from "../../src/pem.ts";
import { TestAuthority } from "../kits/tls.ts";

const roots = await Promise.all(["CN=one", "CN=two"].map((name) => TestAuthority.create(name)));
const certificates = roots.map(({ root }) => new Uint8Array(pemBlocks(root, "CERTIFICATE")[0]!));
const NOW = Date.UTC(2026, 10, 22);

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const port = fc.integer({ min: 1, max: 65_535 });
const said: fc.Arbitrary<Offer> = fc.record({
  cluster: name,
  network: name,
  trustDomain: name.map((text) => `${text}.example`),
  segment: fc.oneof(fc.constant(""), name),
  domain: name.map((text) => `${text}.internal`),
  addresses: fc.array(
    fc.oneof(
      fc.constantFrom("192.0.2.1", "2001:db8::7"),
      name.map((text) => `gw.${text}.example`),
    ),
    {
      minLength: 1,
      maxLength: 16,
    },
  ),
  xdsPort: port,
  via: fc.constantFrom("loadbalancer", "nodeport"),
  serviceAccount: name,
  roots: fc.subarray(certificates, { minLength: 1 }),
  chain: fc.subarray(certificates),
  answers: fc.oneof(fc.constant(""), name),
  madeMs: fc.constant(NOW - 1_000),
  expiresMs: fc.integer({ min: NOW + 1, max: NOW - 1_000 + OFFER_MS_MAX }),
  maker: fc.constantFrom("0.1.0", "1.2.3-rc.1+build"),
});

/** Where node ports are used, no port for tunnels is said. */
const offers: fc.Arbitrary<Offer> = fc
  .tuple(said, fc.option(port))
  .map(([offer, hbonePort]) => ({ ...offer, ...(hbonePort !== null && { hbonePort }) }));

const why = (token: string, now = NOW): string => {
  try {
    decodeOffer(token, now);
  } catch (thrown) {
    assert.ok(thrown instanceof MeshError && thrown.code === "invalid", String(thrown));
    return thrown.message;
  }
  return "";
};

/** With other content and the check that belongs to it, as somebody could make who means harm. */
function forged(token: string, change: (content: Record<string, unknown>) => void, version = "v1"): string {
  const content = JSON.parse(Buffer.from(token.split(".")[2]!, "base64url").toString()) as Record<string, unknown>;
  change(content);
  const body = `causeway-link.${version}.${Buffer.from(JSON.stringify(content)).toString("base64url")}`;
  return `${body}.${hash("sha256", body, "base64url").slice(0, 22)}`;
}

test("an offer is read as it was made, also after a chat has broken its lines", () => {
  fc.assert(
    fc.property(offers, fc.integer({ min: 10, max: 80 }), (offer, width) => {
      const token = encodeOffer(offer);
      const broken = token.match(new RegExp(`.{1,${width}}`, "g"))!.join("\n  ");
      assert.deepEqual(decodeOffer(token, NOW), offer);
      assert.deepEqual(decodeOffer(broken, NOW), decodeOffer(token, NOW));
      assert.equal(digitsOf(broken), digitsOf(token));
    }),
    { numRuns: 60 },
  );
});

test("an offer that is cut anywhere, has any one character changed, or is made longer is refused with a reason", () => {
  const characters = [..."ABab09-_.%"];
  fc.assert(
    fc.property(offers, fc.constantFrom(...characters), (offer, put) => {
      const token = encodeOffer(offer);
      for (let at = 0; at < token.length; at++) {
        assert.match(why(token.slice(0, at)), /is cut short|is none that link --offer prints/, `cut at ${at}`);
        const changed = token.slice(0, at) + put + token.slice(at + 1);
        if (changed !== token) assert.match(why(changed), /^the offer .+: .+/, `changed at ${at}`);
        const without = token.slice(0, at) + token.slice(at + 1);
        assert.match(why(without), /^the offer .+: .+/, `without what is at ${at}`);
      }
      assert.match(why(token + put), /was changed on its way|is cut short/);
    }),
    { numRuns: 4 },
  );
});

test("the digits that two teams compare are others for each other token", () => {
  fc.assert(
    fc.property(offers, fc.double({ min: 0, max: 0.999, noNaN: true }), (offer, at) => {
      const token = encodeOffer(offer);
      const index = Math.floor(at * token.length);
      assert.match(digitsOf(token), /^[0-9a-f]{4}(-[0-9a-f]{4}){3}$/);
      assert.notEqual(digitsOf(token.slice(0, index) + token.slice(index + 1)), digitsOf(token));
    }),
    { numRuns: 50 },
  );
});

test("whatever is given as an offer, the answer is an offer or a sentence", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string().map((text) => `causeway-link.v1.${text}`),
    fc.json().map((text) => {
      const body = `causeway-link.v1.${Buffer.from(text).toString("base64url")}`;
      return `${body}.${hash("sha256", body, "base64url").slice(0, 22)}`;
    }),
  );
  fc.assert(
    fc.property(texts, (text) => assert.match(why(text), /^the offer .*: ./s)),
    { numRuns: 300 },
  );
});

const [offer] = fc.sample(offers, { numRuns: 1, seed: 7 });
const token = encodeOffer({ ...offer!, cluster: "west", expiresMs: NOW + 3_600_000 });

test("each thing that can be wrong with an offer has its own sentence, with what to do", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["hello", /is none that link --offer prints: it begins with causeway-link\.v1\./],
    ["", /is none that link --offer prints/],
    ["causeway-link", /is cut short: copy all of it/],
    [token.slice(0, -3), /is cut short: copy all of it/],
    [token.replace(/^(.{60})./, "$1%"), /was changed on its way.*link --offer --context <theirs>/],
    [
      forged(token, () => {}, "v2"),
      /was made by a newer Causeway \(v2, and this one reads v1\): accept it with that release/,
    ],
    ["x".repeat(40_000), /is longer than any offer/],
  ];
  for (const [text, expected] of cases) assert.match(why(text), expected);
});

test("an offer holds until its end, and from its making by clocks that are two minutes apart at most", () => {
  const [until, madeMs] = [NOW + 3_600_000, offer!.madeMs];
  assert.equal(why(token, until - 1), "");
  assert.match(
    why(token, until),
    /of cluster west ended at 2026-11-22T01:00:00\.000Z: ask the other team for a new one/,
  );
  assert.equal(why(token, madeMs - AHEAD_MS_MAX), "");
  assert.match(
    why(token, madeMs - AHEAD_MS_MAX - 1),
    /of cluster west says that it was made at 2026-11-21T23:59:59\.000Z, and here it is 2026-11-21T23:57:58\.999Z: set the clock/,
  );
});

test("what somebody made by hand cannot put anything into a cluster that no cluster says", () => {
  const cases: readonly (readonly [string, (content: Record<string, unknown>) => void])[] = [
    ["cluster", (content) => (content["cluster"] = "west\nkind: Secret")],
    ["network", (content) => (content["network"] = "a b")],
    ["trustDomain", (content) => (content["trustDomain"] = "a/b")],
    ["addresses", (content) => (content["addresses"] = ["169.254.169.254"])],
    ["addresses", (content) => (content["addresses"] = ["127.0.0.1"])],
    ["addresses", (content) => (content["addresses"] = ["*.example"])],
    ["addresses", (content) => (content["addresses"] = [])],
    ["xdsPort", (content) => (content["xdsPort"] = 0)],
    ["hbonePort", (content) => (content["hbonePort"] = "15008")],
    ["via", (content) => (content["via"] = "tunnel")],
    ["serviceAccount", (content) => (content["serviceAccount"] = "../admin")],
    ["roots", (content) => (content["roots"] = [])],
    ["roots", (content) => (content["roots"] = ["AAAA"])],
    ["chain", (content) => (content["chain"] = Array.from({ length: 5 }, () => (content["roots"] as string[])[0]))],
    ["expiresMs", (content) => (content["expiresMs"] = NOW + 2 * OFFER_MS_MAX)],
    ["maker", (content) => (content["maker"] = "\u001b[2J")],
    ["answers", (content) => (content["answers"] = "../x")],
    ["domain", (content) => (content["domain"] = "*.example")],
  ];
  for (const [field, change] of cases)
    assert.match(why(forged(token, change)), new RegExp(`says of ${field} what cannot be`), field);
  assert.equal(why(forged(token, () => {})), "");
});

test("nothing in an offer is a key or a secret", () => {
  const content = Buffer.from(token.split(".")[2]!, "base64url").toString();
  assert.deepEqual(
    Object.keys(JSON.parse(content) as object).sort(),
    [
      ...[
        "addresses",
        "answers",
        "chain",
        "cluster",
        "domain",
        "expiresMs",
        "hbonePort",
        "madeMs",
        "maker",
        "network",
        "roots",
      ],
      ...["segment", "serviceAccount", "trustDomain", "via", "xdsPort"],
    ].filter((key) => key !== "hbonePort" || offer!.hbonePort !== undefined),
  );
});
