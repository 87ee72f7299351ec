import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import type { Svid } from "../../src/gateway/svid.ts";
import { SvidKeeper } from "../../src/gateway/svid-keeper.ts";
import { TestHost } from "../kits/test-host.ts";

const HOUR = 3_600_000;

/** A CA that does what the test says next; without word it gives certificates of an hour. */
function lab(random = 0.5) {
  const host = new TestHost();
  host.random.next = () => random;
  const { clock } = host;
  const asked: number[] = [];
  const got: Svid[] = [];
  const orders: ((signal: AbortSignal) => Promise<Svid>)[] = [];
  const svid = (lifeMs = HOUR): Svid => ({
    spiffeId: "spiffe://td/ns/shop/sa/waypoint",
    trustDomain: "td",
    chain: `chain ${asked.length}`,
    key: `key ${asked.length}`,
    notBefore: clock.now(),
    notAfter: clock.now() + lifeMs,
  });
  const keeper = new SvidKeeper(
    host,
    (signal) => {
      asked.push(clock.elapsedMs());
      return (orders.shift() ?? (() => Promise.resolve(svid())))(signal);
    },
    (taken) => void got.push(taken),
  );
  const refuses = (why: string) => () => Promise.reject(new MeshError("unavailable", why));
  return { host, clock, keeper, asked, got, orders, svid, refuses };
}

test("a certificate is renewed at half of its life, and the old one is in use until then", async () => {
  const { clock, keeper, asked, got } = lab();
  keeper.renew();
  await clock.pass(HOUR / 2 - 1);
  assert.deepEqual([asked.length, got.length, keeper.svid?.chain], [1, 1, "chain 1"]);
  await clock.pass(1);
  assert.deepEqual([asked, keeper.svid?.chain], [[0, HOUR / 2], "chain 2"]);
  assert.equal(keeper.whyNone(), undefined);
});

test("gateways that start at once renew apart: a tenth of the life earlier or later", async () => {
  for (const [random, share] of [
    [0, 0.4],
    [0.999999, 0.6],
  ] as const) {
    const { clock, keeper, asked } = lab(random);
    keeper.renew();
    await clock.pass(HOUR * share - 100);
    assert.equal(asked.length, 1);
    await clock.pass(200);
    assert.equal(asked.length, 2);
  }
});

test("while the CA is away it is asked after 1, 2, 4 … seconds, and at most every 150", async () => {
  const { clock, keeper, asked, orders, refuses, host } = lab();
  for (let times = 0; times < 10; times++) orders.push(refuses("nothing listens there"));
  keeper.renew();
  await clock.pass(700_000);
  const waits = asked.map((at, index) => at - (asked[index - 1] ?? 0)).slice(1, 11);
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 150_000, 150_000]);
  assert.equal(host.metric("gateway_certificate_requests_total{result=failed}"), 10);
  assert.equal(keeper.svid?.chain, "chain 11");
});

test("why there is none is said, with what the CA said last", async () => {
  const { clock, keeper, orders, refuses } = lab();
  assert.equal(keeper.whyNone(), "there is no certificate yet: the CA has not answered");
  orders.push(refuses("the token has expired"));
  keeper.renew();
  await clock.pass(0);
  assert.equal(keeper.whyNone(), "there is no certificate yet: the token has expired");
});

test("a certificate that cannot be renewed is served to its end, loudly, and is then no reason to be ready", async () => {
  const { clock, keeper, got, orders, refuses, host } = lab();
  keeper.renew();
  await clock.pass(0);
  for (let times = 0; times < 100; times++) orders.push(refuses("nothing listens there"));
  await clock.pass(HOUR - 1);
  assert.equal(keeper.whyNone(), undefined);
  const errors = host.lines.filter((line) => line.startsWith("error"));
  assert.ok(errors.length > 10);
  assert.match(errors[0]!, /no new certificate: nothing listens there.*the old one is good until 2023-11-14T23:13:20/);
  await clock.pass(60_001);
  assert.match(keeper.whyNone()!, /^the certificate of spiffe:.* ended at 2023-11-14T23:13:20.000Z: nothing listens/);
  assert.equal(host.lines.filter((line) => line.includes("our certificate has ended")).length, 1);
  orders.length = 0;
  await clock.pass(150_001 * 1.2);
  assert.deepEqual([keeper.whyNone(), got.length], [undefined, 2]);
});

test("retries do not sleep through the end of a short life", async () => {
  const { clock, keeper, asked, orders, refuses, svid } = lab();
  orders.push(() => Promise.resolve(svid(60_000)));
  for (let times = 0; times < 6; times++) orders.push(refuses("away"));
  keeper.renew();
  await clock.pass(60_000);
  assert.equal(asked.at(-1), 60_000, "asked at its very end, not 32 s after the attempt before");
});

test("a CA that never answers is given up after 30 s, and asked again", async () => {
  const { clock, keeper, asked, orders } = lab();
  orders.push(
    (signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new MeshError("timeout", "given up")))),
  );
  keeper.renew();
  await clock.pass(29_999);
  assert.equal(keeper.whyNone(), "there is no certificate yet: the CA has not answered");
  await clock.pass(1_001);
  assert.deepEqual([asked, keeper.whyNone()], [[0, 31_000], undefined]);
});

test("roots that change while a request is under way make one more request, and no two at once", async () => {
  const { clock, keeper, asked, orders, svid } = lab();
  let answer = (_: Svid): void => {};
  orders.push(() => new Promise((resolve) => (answer = resolve)));
  keeper.renew();
  keeper.renew();
  keeper.renew();
  await clock.pass(10);
  assert.equal(asked.length, 1);
  answer(svid());
  await clock.pass(10);
  assert.deepEqual([asked, keeper.svid?.chain], [[0, 10], "chain 2"]);
});

test("a wall clock that jumps past the end is noticed within a minute", async () => {
  const { clock, keeper, asked } = lab();
  keeper.renew();
  await clock.pass(0);
  const now = clock.now.bind(clock);
  clock.now = () => now() + 2 * HOUR;
  await clock.pass(60_000);
  assert.equal(asked.length, 2);
});

test("a CA whose certificates end at once is not asked without a pause", async () => {
  const { clock, keeper, asked, orders, svid } = lab();
  for (let times = 0; times < 100; times++) orders.push(() => Promise.resolve(svid(1)));
  keeper.renew();
  await clock.pass(10_000);
  assert.equal(asked.length, 11);
});

test("once closed it asks nobody and takes nothing", async () => {
  const { clock, keeper, asked, got, orders, svid } = lab();
  let answer = (_: Svid): void => {};
  orders.push(() => new Promise((resolve) => (answer = resolve)));
  keeper.renew();
  await clock.pass(1);
  keeper.close();
  answer(svid());
  await clock.pass(HOUR);
  assert.deepEqual([asked.length, got.length, clock.pending], [1, 0, 0]);
});
