import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "mocha";
import type { Authority } from "../../src/ca/authority.ts";
import { newCsr } from "../../src/ca/client.ts";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import { SigningDesk } from "../../src/ca/signing-desk.ts";
import type { OrdersMessage, ToThread } from "../../src/ca/signing-messages.ts";
import type { CsrOrder, IssuedSvid } from "../../src/ca/signer.ts";
import type { ThreadEvents } from "../../src/ca/signing-threads.ts";
import { startSigningThread } from "../../src/ca/start-signing-thread.ts";
import { ThreadedSigner } from "../../src/ca/threaded-signer.ts";
import { MeshError } from "../../src/errors.ts";
import { realHost } from "../kits/real-host.ts";
import { signerKit } from "../kits/signer.ts";
import { TestHost } from "../kits/test-host.ts";

const folders: string[] = [];
const folder = (): string => {
  folders.push(mkdtempSync(join(tmpdir(), "causeway-threads-")));
  return folders.at(-1)!;
};
after(() => folders.forEach((path) => rmSync(path, { recursive: true })));

const trustDomain = "cluster.local";
const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
const orderOf = (csr: string): CsrOrder => ({ identity, csr, ttlSeconds: 3600, bearer: undefined });
const order = () => orderOf(newCsr().csr);
const staying = new AbortController().signal;

/** A thread that works when it is told to: on one message of orders each time. */
class StoppedThread {
  readonly told: ToThread[] = [];
  readonly #desk: SigningDesk;
  stopped = false;

  constructor(
    readonly events: ThreadEvents,
    host: TestHost,
  ) {
    this.#desk = new SigningDesk(host.random);
  }

  post(message: ToThread): void {
    this.told.push(message);
  }
  stop(): void {
    this.stopped = true;
    this.events.ended("it was stopped");
  }
  async work(): Promise<boolean> {
    for (let message = this.told.shift(); message !== undefined; message = this.told.shift()) {
      const replies = await this.#desk.take(message);
      if (replies === undefined) continue;
      this.events.replied(replies);
      return true;
    }
    return false;
  }
  get orders(): readonly OrdersMessage["orders"][number][] {
    return this.told.flatMap((message) => (message.kind === "orders" ? message.orders : []));
  }
}

async function lab() {
  const host = new TestHost();
  const authority = await selfMadeRoot(host, folder(), trustDomain);
  const threads: StoppedThread[] = [];
  const signer = new ThreadedSigner(host, authority, trustDomain, (events) => {
    threads.push(new StoppedThread(events, host));
    return threads.at(-1)!;
  });
  return {
    host,
    threads,
    signer,
    send: () => host.clock.advance(0),
    work: async () => {
      for (let worked = true; worked;) {
        worked = false;
        for (const thread of threads) if (!thread.stopped && (await thread.work())) worked = true;
      }
    },
  };
}

const issuerOf = (authority: Authority): X509Certificate => new X509Certificate(authority.roots[0]!);

const kitClosing: (() => void)[] = [];
after(() => kitClosing.forEach((close) => close()));
signerKit("threads that sign", async () => {
  const host = realHost();
  const signer = new ThreadedSigner(
    host,
    await selfMadeRoot(host, folder(), trustDomain),
    trustDomain,
    startSigningThread,
  );
  kitClosing.push(() => signer.close());
  return { signer, clock: host.clock, trustDomain };
});

test("a request is read, signed and linted on another thread, and one that is no good is refused in the same words", async () => {
  const host = realHost();
  const authority = await selfMadeRoot(host, folder(), trustDomain);
  const signer = new ThreadedSigner(host, authority, trustDomain, startSigningThread);
  try {
    const { csr, publicKey } = newCsr();
    const several = Array.from({ length: 20 }, () => signer.issue(order(), staying));
    const [issued, refused] = await Promise.all([
      signer.issue(orderOf(csr), staying),
      signer.issue(orderOf("hello"), staying).catch((error: unknown) => error),
    ]);
    const certificate = new X509Certificate(issued.chain[0]);
    assert.deepEqual(certificate.publicKey.export({ type: "spki", format: "der" }), publicKey);
    assert.equal(certificate.subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/cart");
    assert.ok(certificate.verify(issuerOf(authority).publicKey));
    assert.ok(refused instanceof MeshError);
    assert.deepEqual([refused.code, refused.detail], ["invalid", { stage: "request" }]);
    assert.match(refused.message, /the certificate request cannot be used: it must be one PEM block/);
    const serials = (await Promise.all(several)).map(({ chain: [leaf] }) => new X509Certificate(leaf).serialNumber);
    assert.equal(new Set(serials).size, 20);
    // Its loop and this one are not the same: what is asked next comes back under the next authority.
    const next = await selfMadeRoot(host, folder(), trustDomain);
    signer.rotate(next);
    const { chain: renewed } = await signer.issue(order(), staying);
    assert.ok(new X509Certificate(renewed[0]).verify(issuerOf(next).publicKey));
  } finally {
    signer.close();
  }
});

test("a thread that is killed is started again, and signs with the authority of today", async () => {
  const host = realHost();
  const authority = await selfMadeRoot(host, folder(), trustDomain);
  const running: { stop(): void }[] = [];
  let ends = 0;
  const signer = new ThreadedSigner(host, authority, trustDomain, (events) => {
    const ended = (why: string): void => ((ends += 1), events.ended(why));
    running.push(startSigningThread({ replied: (replies) => events.replied(replies), ended }));
    return running.at(-1)! as ReturnType<typeof startSigningThread>;
  });
  try {
    await signer.issue(order(), staying);
    const under = signer.issue(order(), staying).catch((error: unknown) => error);
    for (const thread of running.splice(0)) thread.stop();
    const outcome = await under;
    assert.ok(!(outcome instanceof Error) || (outcome instanceof MeshError && outcome.code === "unavailable"));
    const { chain } = await signer.issue(order(), staying).catch(() => signer.issue(order(), staying));
    assert.ok(new X509Certificate(chain[0]).verify(issuerOf(authority).publicKey));
    assert.ok(ends >= 1 && running.length >= 1);
    assert.equal(host.lines.filter((line) => line.startsWith("error ca: a signing thread ended")).length, ends);
  } finally {
    signer.close();
  }
});

test("what was under way when the authority changed ends under the one before, and none of it is refused", async () => {
  const { host, signer, threads, send, work } = await lab();
  const next = await selfMadeRoot(host, folder(), trustDomain);
  const before = Array.from({ length: 10 }, () => signer.issue(order(), staying));
  send();
  assert.equal(threads.flatMap(({ orders }) => orders).length, 10);
  const [old] = signer.bundles.get(trustDomain)!.roots;
  signer.rotate(next);
  const later = Array.from({ length: 10 }, () => signer.issue(order(), staying));
  send();
  await work();
  const isOf =
    (root: Uint8Array) =>
    ({ chain }: IssuedSvid) =>
      new X509Certificate(chain[0]).verify(new X509Certificate(root).publicKey);
  assert.ok((await Promise.all(before)).every(isOf(old!)));
  assert.ok((await Promise.all(later)).every(isOf(next.roots[0]!)));
  assert.deepEqual(signer.bundles.get(trustDomain)!.roots, next.roots);
});

test("when a thread ends, what it was at is to be asked again, the rest is signed, and a line says so", async () => {
  const { host, signer, threads, send, work } = await lab();
  const asked = Array.from({ length: 12 }, () => signer.issue(order(), staying));
  send();
  host.clock.advance(1_500);
  threads[0]!.events.ended("it ran out of memory");
  const lost = threads[0]!.orders.length;
  assert.ok(lost > 0 && lost < 12);
  host.clock.advance(0);
  assert.equal(threads.length, 3);
  threads[0]!.stopped = true;
  await work();
  const ends = await Promise.allSettled(asked);
  const refused = ends.filter((end) => end.status === "rejected");
  assert.equal(refused.length, lost);
  for (const { reason } of refused) assert.equal((reason as MeshError).code, "unavailable");
  assert.deepEqual(
    host.lines.filter((line) => line.startsWith("error")),
    [`error ca: a signing thread ended, and is started again why=it ran out of memory requestsLost=${lost}`],
  );
});

test("a thread that ends as soon as it starts is started once a second, and what waits is signed in the end", async () => {
  const { host, signer, threads, send, work } = await lab();
  const asked = signer.issue(order(), staying);
  for (const thread of threads) thread.stop();
  send();
  assert.equal(threads.length, 2);
  host.clock.advance(999);
  assert.equal(threads.length, 2);
  host.clock.advance(1);
  assert.equal(threads.length, 4);
  await work();
  assert.equal((await asked).chain.length, 1);
});

test("where no thread can be had, it is tried again each second, and what waits is signed once there is one", async () => {
  const host = new TestHost();
  const authority = await selfMadeRoot(host, folder(), trustDomain);
  const threads: StoppedThread[] = [];
  let tries = 0;
  const signer = new ThreadedSigner(host, authority, trustDomain, (events) => {
    if ((tries += 1) <= 2) throw new Error("no thread left");
    threads.push(new StoppedThread(events, host));
    return threads.at(-1)!;
  });
  const asked = signer.issue(order(), staying);
  host.clock.advance(1_000);
  assert.equal(threads.length, 2);
  while (await threads[0]!.work());
  assert.equal((await asked).chain.length, 1);
  assert.equal(host.lines.filter((line) => line.includes("why=no thread left")).length, 2);
});

test("not too many wait, and who has left is not signed for", async () => {
  const { signer, threads, send, work } = await lab();
  const leaving = new AbortController();
  const waiting = Array.from({ length: 2_000 }, () => signer.issue(order(), leaving.signal));
  await assert.rejects(signer.issue(order(), staying), { code: "unavailable", message: /too many wait already/ });
  send();
  const sent = threads.flatMap(({ orders }) => orders).length;
  assert.ok(sent <= 64, `${sent} requests are out of reach of their callers`);
  leaving.abort(new MeshError("unavailable", "left"));
  await work();
  const ends = await Promise.allSettled(waiting);
  assert.equal(ends.filter(({ status }) => status === "fulfilled").length, sent);
});

test("a thread that does not answer is stopped after ten seconds, and nobody in line waits longer", async () => {
  const { host, signer, threads, send, work } = await lab();
  const waiting = Array.from({ length: 100 }, () => signer.issue(order(), staying));
  send();
  host.clock.advance(9_000);
  assert.ok(threads.every(({ stopped }) => !stopped));
  host.clock.advance(2_000);
  for (const end of await Promise.allSettled(waiting)) {
    assert.equal(end.status, "rejected");
    assert.equal((end.reason as MeshError).code, "unavailable");
  }
  assert.deepEqual(
    threads.map(({ stopped }) => stopped),
    [true, true, false, false],
  );
  const asked = signer.issue(order(), staying);
  send();
  await work();
  assert.equal((await asked).chain.length, 1);
});

test("one bad request among others is refused alone", async () => {
  const { signer, send, work } = await lab();
  const asked = [
    order(),
    { ...order(), csr: "junk" },
    { ...order(), identity: { ...identity, trustDomain: "other" } },
    order(),
  ];
  const all = Promise.allSettled(asked.map((each) => signer.issue(each, staying)));
  send();
  await work();
  assert.deepEqual(
    (await all).map((end) => (end.status === "fulfilled" ? "signed" : (end.reason as MeshError).code)),
    ["signed", "invalid", "denied", "signed"],
  );
});

test("once closed, nothing is signed and nobody waits", async () => {
  const { signer, threads, send } = await lab();
  const waiting = Array.from({ length: 100 }, () => signer.issue(order(), staying));
  send();
  signer.close();
  const ends = await Promise.allSettled(waiting);
  assert.ok(ends.every(({ status }) => status === "rejected"));
  assert.ok(threads.every(({ stopped }) => stopped));
  assert.equal(threads.length, 2);
  await assert.rejects(signer.issue(order(), staying), /shutting down/);
});
