import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import type { Authority } from "../../src/ca/authority.ts";
import { AuthoritySteps } from "../../src/ca/authority-steps.ts";
import { authorityOf, cacertsIn } from "../../src/ca/cacerts.ts";
import { readRoots, writeRoots } from "../../src/ca/remembered-roots.ts";
import { MeshError } from "../../src/errors.ts";
import { seededRandom } from "../sim/world.ts";
import { TestAuthority } from "../kits/tls.ts";

const HOUR_MS = 3_600_000;
const start = Date.now();
const end = start + 3_000 * HOUR_MS;

const rootOf = (name: string): Promise<TestAuthority> => TestAuthority.create({ name: `CN=${name}`, notAfterMs: end });
const under = (root: TestAuthority, name: string, notAfterMs = end): Promise<TestAuthority> =>
  TestAuthority.create({ name: `CN=${name}`, notAfterMs }, root);

function authority(own: TestAuthority, ...roots: readonly TestAuthority[]): Authority {
  const files = {
    "ca-cert.pem": own.root,
    "ca-key.pem": own.key,
    "cert-chain.pem": "",
    "root-cert.pem": roots.map(({ root }) => root).join("\n"),
  };
  return authorityOf(cacertsIn("test", new Map(Object.entries(files)))!, "cluster.local", start);
}

const read = new Map<Uint8Array, string>();
function subjectOf(der: Uint8Array): string {
  const subject = read.get(der) ?? new X509Certificate(der).subject;
  read.set(der, subject);
  return subject;
}
const subjects = ({ roots }: Authority): readonly string[] => roots.map(subjectOf);
const signing = ({ chain }: Authority): string => subjectOf(chain[0]!);
const at = (steps: AuthoritySteps, hours: number) => steps.stage(start + hours * HOUR_MS, hours * HOUR_MS);

test("a new root is published at once, and what it issued signs when the wait is over", async () => {
  const [a, b] = [await rootOf("a"), await rootOf("b")];
  const [ia, ib] = [await under(a, "ia"), await under(b, "ib")];
  const steps = new AuthoritySteps(authority(ia, a), 24 * HOUR_MS);
  steps.offer(authority(ib, a, b), start);
  const first = at(steps, 1);
  assert.deepEqual([signing(first.authority), subjects(first.authority)], ["CN=ia", ["CN=a", "CN=b"]]);
  assert.match(first.waits.join(), /^root "CN=b" is new to workloads, so the signing .* is used from 20\S+Z on$/);
  assert.deepEqual(at(steps, 24.9), first);
  const then = at(steps, 25);
  assert.deepEqual([signing(then.authority), then.waits], ["CN=ib", []]);
});

test("a root that was renewed under another key identifier is still the one that its authorities are under", async () => {
  const a = await rootOf("a");
  const renewed = await TestAuthority.create({
    name: "CN=a",
    notAfterMs: end + HOUR_MS,
    keyOf: a,
    keyId: "0102030405060708",
  });
  const [ia, ia2] = [await under(a, "ia"), await under(a, "ia2")];
  const steps = new AuthoritySteps(authority(ia, a, renewed), 24 * HOUR_MS);
  assert.deepEqual(
    steps.remembered(start, 0).map(({ signing }) => signing),
    [true],
  );
  steps.offer(authority(ia2, a, renewed), start);
  const { authority: now, waits } = at(steps, 1);
  assert.deepEqual([signing(now), waits], ["CN=ia2", []]);
  assert.match(steps.whyNotYet(start, HOUR_MS) ?? "none", /^none$/);
});

test("a root that is taken out stays trusted until what it issued has ended", async () => {
  const [a, b] = [await rootOf("a"), await rootOf("b")];
  const [ia, ib] = [await under(a, "ia"), await under(b, "ib")];
  const steps = new AuthoritySteps(authority(ia, a, b), 24 * HOUR_MS);
  steps.offer(authority(ib, b), start);
  const first = at(steps, 1);
  assert.deepEqual([signing(first.authority), subjects(first.authority)], ["CN=ib", ["CN=b", "CN=a"]]);
  assert.match(first.waits.join(), /root "CN=a" was taken out, and stays trusted until/);
  assert.deepEqual(subjects(at(steps, 24.9).authority), ["CN=b", "CN=a"]);
  assert.deepEqual([subjects(at(steps, 25).authority), at(steps, 25).waits], [["CN=b"], []]);
});

test("a root that never signed is taken out at once, and another intermediate of the same root signs at once", async () => {
  const [a, b] = [await rootOf("a"), await rootOf("b")];
  const steps = new AuthoritySteps(authority(await under(a, "ia"), a, b), 24 * HOUR_MS);
  steps.offer(authority(await under(a, "ia2"), a), start);
  const { authority: now, waits } = at(steps, 1);
  assert.deepEqual([signing(now), subjects(now), waits], ["CN=ia2", ["CN=a"], []]);
});

test("an intermediate that ended does not hold up its successor: somebody must sign", async () => {
  const [a, b] = [await rootOf("a"), await rootOf("b")];
  const steps = new AuthoritySteps(authority(await under(a, "ia", start + 2 * HOUR_MS), a), 24 * HOUR_MS);
  steps.offer(authority(await under(b, "ib"), a, b), start);
  assert.equal(signing(at(steps, 1).authority), "CN=ia");
  assert.equal(signing(at(steps, 3).authority), "CN=ib");
});

test("a step that is skipped is refused with the steps that work, whatever was offered before", async () => {
  const [a, b, c] = [await rootOf("a"), await rootOf("b"), await rootOf("c")];
  const [ia, ib] = [await under(a, "ia"), await under(b, "ib")];
  const steps = new AuthoritySteps(authority(ia, a), 0);
  const refused = (next: Authority): void =>
    assert.throws(
      () => steps.offer(next, start),
      (error) => error instanceof MeshError && /put the new root beside the old, wait/.test(error.message),
    );
  refused(authority(ib, b));
  refused(authority(ib, b, c));
  steps.offer(authority(ia, a, b), start);
  refused(authority(ib, b, c));
  steps.offer(authority(ib, b), start);
});

interface Workload {
  /** The subject of the root above its certificate. */
  readonly root: string;
  readonly trusts: readonly string[];
  readonly endsAt: number;
}

// Fault 20 of contract operations.md 3.4.
test("no two workloads ever refuse each other, however fast an operator takes the steps from root to root", async () => {
  const roots = await Promise.all(["a", "b", "c"].map(rootOf));
  const issuers = await Promise.all(roots.map((root, at) => under(root, `i${at}`)));
  const all = roots.map((_, at) => authority(issuers[at]!, ...roots));
  const of = (issuer: number, ...trusted: readonly number[]): Authority => {
    const picked = trusted.map((root) => all[0]!.roots[root]!);
    return { ...all[issuer]!, roots: picked };
  };
  const plans = [of(0, 0, 1), of(1, 0, 1), of(1, 1), of(1, 1, 2), of(2, 1, 2), of(2, 2)];
  for (let seed = 1; seed <= 5; seed += 1) {
    const random = seededRandom(seed);
    const steps = new AuthoritySteps(of(0, 0), 24 * HOUR_MS);
    const workloads: (Workload | undefined)[] = Array.from({ length: 12 }, () => undefined);
    let plan = 0;
    let handshakes = 0;
    for (let hours = 0; hours < 300; hours += 1) {
      if (hours > 24 && random.chance(0.2) && plan < plans.length) steps.offer(plans[plan++]!, start);
      const stage = at(steps, hours).authority;
      const root = `CN=${"abc"[Number(/\d/.exec(signing(stage))![0])]}`;
      const trusts = subjects(stage);
      workloads.forEach((workload, index) => {
        // ztunnel renews at half of the life of a leaf; who restarts asks anew.
        if (workload !== undefined && workload.endsAt - hours > 12 && !random.chance(0.01)) return;
        workloads[index] = { root, trusts, endsAt: hours + 24 };
      });
      for (const one of workloads)
        for (const other of workloads) {
          assert.ok(other!.trusts.includes(one!.root), `seed ${seed}, hour ${hours}`);
          handshakes += 1;
        }
    }
    assert.deepEqual([plan, subjects(at(steps, 400).authority)], [plans.length, ["CN=c"]]);
    assert.equal(handshakes, 300 * 144);
  }
});

test("what is remembered is the same after a restart, whenever that is, and clocks that were wrong make nothing wait longer", async () => {
  const [a, b] = [await rootOf("a"), await rootOf("b")];
  const [ia, ib] = [await under(a, "ia"), await under(b, "ib")];
  const before = new AuthoritySteps(authority(ia, a), 24 * HOUR_MS);
  before.offer(authority(ia, a, b), start);
  at(before, 1);
  const roots = readRoots(writeRoots(before.remembered(start + 2 * HOUR_MS, 2 * HOUR_MS)));
  // A process that begins counts from 0.
  const now = start + 10 * HOUR_MS;
  const after = new AuthoritySteps(authority(ia, a, b), 24 * HOUR_MS, { roots, now, elapsed: 0 });
  assert.deepEqual(after.remembered(now, 0), roots);
  after.offer(authority(ib, a, b), now);
  const signer = (hours: number) => signing(after.stage(start + hours * HOUR_MS, (hours - 10) * HOUR_MS).authority);
  assert.deepEqual([signer(10), signer(24.9), signer(25)], ["CN=ia", "CN=ia", "CN=ib"]);
  const late = new AuthoritySteps(authority(ia, a, b), 24 * HOUR_MS, { roots, now: start - 99 * HOUR_MS, elapsed: 0 });
  late.offer(authority(ib, a, b), start);
  assert.equal(signing(late.stage(start, 24 * HOUR_MS).authority), "CN=ib");
});

test("a process that begins does not sign under a root that is new to those who trust another", async () => {
  const [a, b] = [await rootOf("a"), await rootOf("b")];
  const [ia, ib] = [await under(a, "ia"), await under(b, "ib")];
  const roots = new AuthoritySteps(authority(ia, a), 0).remembered(start, 0);
  const whyNot = (first: Authority, hours: number) =>
    new AuthoritySteps(first, 24 * HOUR_MS, { roots, now: start, elapsed: 0 }).whyNotYet(
      start + hours * HOUR_MS,
      hours * HOUR_MS,
    );
  const why = /^root "CN=b" is new to workloads, which trust root "CN=a", so nothing may sign under it before 20/;
  assert.match(whyNot(authority(ib, a, b), 23)!, why);
  assert.equal(whyNot(authority(ib, a, b), 24), undefined);
  assert.equal(whyNot(authority(ia, a, b), 0), undefined);
  assert.match(whyNot(authority(ib, b), 1)!, why, "though the old root is not among its own");
});

// Fault 20 of contract operations.md 3.4, with restarts.
test("no two workloads ever refuse each other, however often the process begins anew between the steps", async () => {
  const roots = await Promise.all(["a", "b", "c"].map(rootOf));
  const issuers = await Promise.all(roots.map((root, index) => under(root, `i${index}`)));
  const all = roots.map((_, index) => authority(issuers[index]!, ...roots));
  const of = (issuer: number, ...trusted: readonly number[]): Authority => {
    return { ...all[issuer]!, roots: trusted.map((root) => all[0]!.roots[root]!) };
  };
  const plans = [of(0, 0), of(0, 0, 1), of(1, 0, 1), of(1, 1), of(1, 1, 2), of(2, 1, 2), of(2, 2)];
  for (let seed = 1; seed <= 3; seed += 1) {
    const random = seededRandom(seed);
    let steps: AuthoritySteps | undefined = new AuthoritySteps(plans[0]!, 24 * HOUR_MS);
    let begun = 0;
    let memory = steps.remembered(start, 0);
    let [plan, restarts, refused] = [0, 0, 0];
    const workloads: (Workload | undefined)[] = Array.from({ length: 12 }, () => undefined);
    for (let hours = 0; hours < 500; hours += 1) {
      const now = start + hours * HOUR_MS;
      if (hours > 24 && random.chance(0.1) && plan < plans.length - 1) {
        plan += 1;
        steps?.offer(plans[plan]!, now);
      }
      if (steps === undefined || random.chance(0.2)) {
        begun = hours;
        restarts += 1;
        steps = new AuthoritySteps(plans[plan]!, 24 * HOUR_MS, { roots: memory, now, elapsed: 0 });
        memory = steps.remembered(now, 0);
        if (steps.whyNotYet(now, 0) !== undefined) steps = undefined;
      }
      const stage = steps?.stage(now, (hours - begun) * HOUR_MS).authority;
      if (stage === undefined) refused += 1;
      else {
        memory = steps!.remembered(now, (hours - begun) * HOUR_MS);
        const root = `CN=${"abc"[Number(/\d/.exec(signing(stage))![0])]}`;
        workloads.forEach((workload, index) => {
          if (workload !== undefined && workload.endsAt - hours > 12 && !random.chance(0.01)) return;
          workloads[index] = { root, trusts: subjects(stage), endsAt: hours + 24 };
        });
      }
      const alive = workloads.filter((workload) => workload !== undefined && workload.endsAt > hours);
      for (const one of alive)
        for (const other of alive) assert.ok(other!.trusts.includes(one!.root), `seed ${seed}, hour ${hours}`);
    }
    assert.equal(plan, plans.length - 1);
    assert.ok(restarts > 50 && refused < 150, `${restarts} restarts, ${refused} hours without a signer`);
  }
});
