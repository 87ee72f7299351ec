import assert from "node:assert/strict";
import { test } from "mocha";
import { TokenReviewAuthenticator } from "../../src/ca/token-review-authenticator.ts";
import type { Caller } from "../../src/caller.ts";
import { type ErrorCode, MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import { TestHost } from "../kits/test-host.ts";
import { type LivePod, livePods } from "./live-pods.ts";
import { EXPIRES_AT, FakeReviewer, jwt } from "./reviewed-tokens.ts";

const MINUTE_MS = 60_000;
const east = clusterId("east");

function lab() {
  const host = new TestHost();
  const reviewer = new FakeReviewer();
  const pods: Record<string, LivePod> = { "east/shop/cart-0": { uid: "u1", node: "n1", serviceAccount: "cart" } };
  const options = { cluster: east, trustDomain: "cluster.local", reviewer, pods: livePods(pods) };
  const authenticator = new TokenReviewAuthenticator(host, options);
  const show = (token: string): Promise<Caller> =>
    authenticator.authenticate({
      authorization: `Bearer ${token}`,
      clusterId: undefined,
      certificateChain: [],
      remoteAddress: "test",
    });
  const results = (result: string): number => host.metric(`token_reviews_total{cluster=east,result=${result}}`);
  return { host, reviewer, pods, show, results };
}

const fails = async (attempt: Promise<unknown>, code: ErrorCode, reason: RegExp): Promise<void> =>
  assert.rejects(
    attempt,
    (error) =>
      (error instanceof MeshError && error.code === code && reason.test(error.message)) || assert.fail(String(error)),
  );
/** Lets everything run that waits for nothing but its turn. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Each the token of its own. */
const tokens = (count: number): readonly string[] => Array.from({ length: count }, (_, at) => jwt({ jti: `${at}` }));

test("a token that its API server accepts proves account, pod, cluster and expiry, and is asked about once", async () => {
  const { reviewer, show, results, host } = lab();
  const caller = await show(jwt({}));
  assert.deepEqual(caller, {
    identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" },
    cluster: east,
    via: "token",
    pod: { name: "cart-0", uid: "u1" },
    expiresAt: EXPIRES_AT,
  });
  host.clock.advance(9 * MINUTE_MS);
  assert.equal(await show(jwt({})), caller);
  assert.deepEqual(reviewer.asked, [`${jwt({})} istio-ca`]);
  assert.equal(results("proven"), 1);
  assert.equal(host.clock.pending, 0);
});

test("what cannot be a good token never reaches the API server", async () => {
  const { reviewer, show } = lab();
  for (const token of ["..", "x".repeat(17_000), jwt({}, { alg: "none" }), jwt({ aud: "kubernetes" }), jwt({ exp: 1 })])
    await fails(show(token), "unauthenticated", /./);
  await fails(show(""), "unauthenticated", /no bearer token/);
  assert.deepEqual(reviewer.asked, []);
});

test("a refused token is asked about once a second, whoever shows it how often", async () => {
  const { reviewer, show, host, results } = lab();
  reviewer.mood = "refuses";
  for (let i = 0; i < 10; i++) await fails(show(jwt({})), "unauthenticated", /does not accept the token/);
  assert.equal(reviewer.asked.length, 1);
  host.clock.advance(1_000);
  reviewer.mood = "accepts";
  await show(jwt({}));
  assert.deepEqual([reviewer.asked.length, results("refused"), results("proven")], [2, 1, 1]);
});

test("whoever shows a token that is being reviewed waits for the same answer", async () => {
  const { reviewer, show } = lab();
  reviewer.held = true;
  const all = [show(jwt({})), show(jwt({})), show(jwt({}))];
  await settled();
  reviewer.release();
  assert.equal(new Set(await Promise.all(all)).size, 1);
  assert.equal(reviewer.asked.length, 1);
});

test("a token that expires is worth nothing, though it was proven, and nobody is asked", async () => {
  const { reviewer, show, host } = lab();
  await show(jwt({}));
  host.clock.advance(60 * MINUTE_MS);
  reviewer.mood = "fails";
  await fails(show(jwt({})), "unauthenticated", /has expired/);
  assert.equal(reviewer.asked.length, 1);
});

test("a proof ends with its token, however fresh it is", async () => {
  const { reviewer, show, host } = lab();
  const brief = jwt({ exp: EXPIRES_AT / 1000 - 3_300 });
  await show(brief);
  host.clock.advance(5 * MINUTE_MS - 1);
  await show(brief);
  host.clock.advance(1);
  await fails(show(brief), "unauthenticated", /has expired/);
  assert.equal(reviewer.asked.length, 1);
});

test("once the API server answers again, old proofs are looked at anew at once", async () => {
  const { reviewer, show, host } = lab();
  await show(jwt({}));
  host.clock.advance(10 * MINUTE_MS);
  reviewer.mood = "fails";
  await show(jwt({}));
  reviewer.mood = "accepts";
  await show(jwt({ jti: "new" }));
  reviewer.mood = "refuses";
  await fails(show(jwt({})), "unauthenticated", /does not accept/);
});

test("a token that expires while it is reviewed anew is not kept", async () => {
  const { reviewer, show, host } = lab();
  await show(jwt({}));
  host.clock.advance(60 * MINUTE_MS - 1_000);
  reviewer.mood = "is silent";
  const late = show(jwt({}));
  await settled();
  host.clock.advance(3_000);
  await fails(late, "unavailable", /cannot review/);
});

test("a token whose pod has ended, or is another by now, proves nothing, though it was proven", async () => {
  const { show, pods } = lab();
  await show(jwt({}));
  pods["east/shop/cart-0"] = { uid: "u2", node: "n1", serviceAccount: "cart" };
  await fails(show(jwt({})), "unauthenticated", /bound to pod shop\/cart-0, which is not live/);
  pods["east/shop/cart-0"] = { uid: "u1", node: "n1", serviceAccount: "bank" };
  await fails(show(jwt({})), "unauthenticated", /not live/);
  delete pods["east/shop/cart-0"];
  await fails(show(jwt({})), "unauthenticated", /not live/);
});

test("a token that is revoked is refused within ten minutes, and forgotten", async () => {
  const { reviewer, show, host } = lab();
  await show(jwt({}));
  reviewer.mood = "refuses";
  host.clock.advance(10 * MINUTE_MS);
  await fails(show(jwt({})), "unauthenticated", /does not accept/);
  reviewer.mood = "fails";
  host.clock.advance(1_000);
  await fails(show(jwt({})), "unavailable", /cannot review/);
});

test("while the API server is down, proven tokens stay good until they expire and unknown ones are refused", async () => {
  const { reviewer, show, host, results } = lab();
  const caller = await show(jwt({}));
  reviewer.mood = "fails";
  for (let minutes = 1; minutes < 60; minutes++) {
    host.clock.advance(MINUTE_MS);
    assert.equal(await show(jwt({})), caller);
    await fails(show(jwt({ jti: "new" })), "unavailable", /cluster east cannot review tokens now; ask again/);
  }
  assert.ok(results("kept") > 0 && results("unanswered") === 59);
  const said = host.lines.filter((line) => line.startsWith("warn ca: the API server does not review tokens"));
  assert.equal(said.length, 1);
  assert.match(said[0]!, /cluster=east why=connection refused/);
  reviewer.mood = "accepts";
  await show(jwt({ jti: "new" }));
  assert.equal(host.lines.at(-1), "info ca: the API server reviews tokens again cluster=east");
});

test("an API server that does not let us ask has said nothing of the token", async () => {
  const { reviewer, show, host } = lab();
  const caller = await show(jwt({}));
  host.clock.advance(10 * MINUTE_MS);
  reviewer.review = () => Promise.reject(new MeshError("unauthenticated", "our own token has expired"));
  assert.equal(await show(jwt({})), caller);
  await fails(show(jwt({ jti: "new" })), "unavailable", /cannot review/);
  assert.match(host.lines.join("\n"), /why=our own token has expired/);
});

test("an API server that hangs holds nobody up for long, and those that it has proven only once", async () => {
  const { reviewer, show, host } = lab();
  await show(jwt({}));
  host.clock.advance(10 * MINUTE_MS);
  reviewer.mood = "is silent";
  const [known, unknown] = [show(jwt({})), show(jwt({ jti: "new" }))];
  const refusal = fails(unknown, "unavailable", /cannot review/);
  await settled();
  host.clock.advance(3_000);
  await known;
  await refusal;
  assert.equal(reviewer.aborted, 2);
  await show(jwt({}));
  assert.equal(reviewer.asked.length, 3);
  assert.equal(host.clock.pending, 0);
});

test("an API server that answers now and then is named in the log once a minute at most", async () => {
  const { reviewer, show, host } = lab();
  for (const [at, token] of tokens(100).entries()) {
    reviewer.mood = at % 2 === 0 ? "fails" : "accepts";
    await show(token).catch(() => {});
    host.clock.advance(1_000);
  }
  assert.equal(host.lines.length, 4);
});

test("reviews take turns: some at once, some in line for a moment, the rest is refused", async () => {
  const { reviewer, show, host } = lab();
  reviewer.held = true;
  const outcomes = tokens(5_000).map((token) =>
    show(token).then(
      () => "proven",
      (error: unknown) => MeshError.from(error).code,
    ),
  );
  await settled();
  assert.equal(reviewer.asked.length, 32);
  host.clock.advance(2_000);
  reviewer.release();
  const counts = new Map<string, number>();
  for (const outcome of await Promise.all(outcomes)) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  assert.deepEqual(Object.fromEntries(counts), { proven: 32, unavailable: 4_968 });
  reviewer.held = false;
  await Promise.all(tokens(3_000).map(show));
  assert.equal(host.clock.pending, 0);
});

test("a known token does not have to stand in line", async () => {
  const { reviewer, show, host } = lab();
  const caller = await show(jwt({}));
  host.clock.advance(10 * MINUTE_MS);
  reviewer.held = true;
  const others = tokens(4_500).map((token) => show(token).catch(() => undefined));
  await settled();
  assert.equal(await show(jwt({})), caller);
  host.clock.advance(3_000);
  await Promise.all(others);
});
