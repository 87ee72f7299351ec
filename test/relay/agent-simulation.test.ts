import assert from "node:assert/strict";
import { test } from "mocha";
import { authorityOf } from "../../src/ca/cacerts.ts";
import { MeshError } from "../../src/errors.ts";
import type { IntermediateRequest } from "../../src/relay/messages.ts";
import { TestHost } from "../kits/test-host.ts";
import { seededRandom } from "../sim/world.ts";
import { DAY_MS, LabCluster, LabRoot, orderOf, TRUST_DOMAIN } from "./agent-lab.ts";

const MINUTE_MS = 60_000;

interface Steps {
  readonly written: number;
  readonly restarts: number;
  readonly lies: number;
}

/**
 * A manager that changes its mind, is away, answers late, twice, or with lies, and an agent that is restarted at any time.
 * What lies on the disk must be an authority at each moment, from the first one on; and once all is quiet, the last order
 * that could be carried out is.
 */
async function simulate(seed: number): Promise<Steps> {
  const host = new TestHost();
  const random = seededRandom(seed);
  const roots = ["a", "b", "c"].map((name) => new LabRoot(host, `Root ${name}`));
  const east = new LabCluster(host, { rootWaitMs: 5 * MINUTE_MS });
  const counts = { written: 0, restarts: 0, lies: 0 };
  let wanted = orderOf(roots[0], [roots[0]!]);
  const late: IntermediateRequest[] = [];
  const rootOf = (generation: string) => roots.find(({ fingerprint }) => fingerprint === signing.get(generation))!;
  const signing = new Map<string, string>();

  const whole = (): void => {
    if (east.disk.kind !== "own") return assert.equal(counts.written, 0, `seed ${seed}: there was an authority once`);
    counts.written = Math.max(counts.written, east.history.length);
    authorityOf(east.disk.files, TRUST_DOMAIN, host.clock.now());
  };
  const order = (): void => {
    // Mostly a step from what was wanted before; sometimes any, those that part the mesh, too.
    const before = roots.filter(({ der }) => wanted.roots.includes(der));
    const one = random.pick(roots);
    const step = before.includes(one) ? before.filter((root) => root !== one) : [...before, one];
    const some = random.chance(0.7) ? step : roots.filter(() => random.chance(0.6));
    const signer = random.chance(0.2) ? undefined : random.pick(some.length === 0 ? roots : some);
    wanted = orderOf(signer, some, random.chance(0.3) ? { bounds: [] } : {});
    east.hear({ kind: "order", order: wanted });
  };
  const lie = (request: IntermediateRequest): void => {
    counts.lies += 1;
    const key = random.chance(0.5) ? east.publicKeyOf(request.csr) : roots[0]!.publicKey;
    const by = random.pick(roots);
    const chain = random.chance(0.3) ? [by.leaf(key)] : [by.sign(key, { lifetimeMs: random.pick([1, 400]) * DAY_MS })];
    const root = random.chance(0.5) ? by.der : random.pick(roots).der;
    east.hear({ kind: "certificate", id: request.id, signed: { chain, root } });
  };
  const act: readonly (() => void | Promise<void>)[] = [
    order,
    () => east.connect(),
    () => void (east.open = false),
    () => void late.push(...east.requests.slice(-1)),
    () => void (late.length > 0 && answer(random.pick(late))),
    () => east.connect(),
    () => void (east.failing = {}),
    () => void (east.requests.length > 0 && answer(east.requests.at(-1)!)),
    () => void (east.requests.length > 0 && answer(east.requests.at(-1)!)),
    () => void (east.requests.length > 0 && lie(east.requests.at(-1)!)),
    () => void (east.failing = { install: new MeshError("unavailable", "the disk is full") }),
    () => void (east.failing = { look: new MeshError("unavailable", "the API server is away") }),
    () => void (east.failing = {}),
    () => east.takeUp().catch((thrown: unknown) => assert.match(String(thrown), /is new to workloads/)),
    async () => {
      counts.restarts += 1;
      await east.restart();
    },
    () => {
      const { id = "" } = east.requests.at(-1) ?? {};
      east.hear({ kind: "refusal", id, code: "unavailable", reason: "sealed", retryAfterMs: random.below(60_000) });
    },
  ];
  const answer = (request: IntermediateRequest): void => {
    const root = rootOf(request.generation);
    if (root !== undefined) east.answer(root, request);
  };

  for (let step = 0; step < 120; step++) {
    await random.pick(act)();
    if (wanted.signingRoot !== undefined) signing.set(wanted.generation, wanted.signingRoot);
    await host.clock.pass(random.pick([0, 50, 1_000, 20_000]));
    whole();
  }
  await quiet();
  await east.agent.close();
  return counts;

  /** The manager is honest and there, wants what holds all roots that were ever known, and answers. */
  async function quiet(): Promise<void> {
    east.failing = {};
    const last = orderOf(roots[1], roots);
    signing.set(last.generation, roots[1]!.fingerprint);
    east.connect();
    east.hear({ kind: "order", order: last });
    for (let minute = 0; minute < 30 && east.agent.generation !== last.generation; minute++) {
      await host.clock.pass(MINUTE_MS);
      if (east.requests.length > 0) answer(east.requests.at(-1)!);
      await host.clock.pass(1_000);
      await east.takeUp().catch(() => {});
      whole();
    }
    await host.clock.pass(10_000);
    assert.equal(east.report.generation, last.generation, `seed ${seed}: ${east.report.problems.join()}`);
    assert.equal(east.report.signingRoot, roots[1]!.fingerprint, `seed ${seed}`);
    assert.deepEqual(east.report.problems, [], `seed ${seed}`);
  }
}

test("whatever the manager does, and whenever the agent ends, an authority once there is always whole", async () => {
  const seeds = Number(process.env["SEEDS"] ?? 12);
  const all: Steps[] = [];
  for (let seed = 1; seed <= seeds; seed++) all.push(await simulate(seed));
  const sum = (of: (steps: Steps) => number) => all.reduce((total, steps) => total + of(steps), 0);
  // It was as busy as it should be.
  assert.ok(sum(({ written }) => written) > seeds, `${sum(({ written }) => written)} written`);
  assert.ok(sum(({ restarts }) => restarts) > 2 * seeds);
  assert.ok(sum(({ lies }) => lies) > seeds);
});
