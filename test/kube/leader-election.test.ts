import assert from "node:assert/strict";
import { test } from "mocha";
import { ApiError, type ApiRequest, type KubeApi } from "../../src/kube/api.ts";
import type { Clock } from "../../src/host.ts";
import { LeaderElection, type Term } from "../../src/kube/leader-election.ts";
import { LEASES } from "../../src/kube/resource-types.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import type { FakeConnection } from "../kits/fake-api-connection.ts";
import { TestHost } from "../kits/test-host.ts";
import { seededRandom, type VirtualClock } from "../sim/world.ts";

interface Replica {
  readonly connection: FakeConnection;
  readonly election: LeaderElection;
  /** What its observer was told last. */
  term: Term | undefined;
}

/** The server has done it, and its answer takes a while, or comes too late. */
function answeringLate(api: KubeApi, clock: Clock, delayMs: () => number): KubeApi {
  const call = async (request: ApiRequest, signal?: AbortSignal): Promise<unknown> => {
    const answer = await api.call(request, signal);
    const [lateMs, deadlineMs] = [delayMs(), request.deadlineMs ?? 30_000];
    await new Promise<void>((resolve) => clock.after(Math.min(lateMs, deadlineMs), resolve));
    if (lateMs >= deadlineMs) throw new ApiError("timeout", "no answer", 0, "");
    return answer;
  };
  return { server: api.server, call, watch: (path, handler) => api.watch(path, handler), close: () => api.close() };
}

function replicaOf(host: TestHost, server: FakeApiServer, podName: string, delayMs = (): number => 0): Replica {
  const connection = server.connect();
  const api = answeringLate(connection, host.clock, delayMs);
  const options = { namespace: "istio-system", name: "causeway-status-default", podName };
  const replica: Replica = { connection, election: new LeaderElection(host, api, options), term: undefined };
  replica.election.observe((term) => (replica.term = term));
  return replica;
}

function lab(...names: readonly string[]) {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const replicas = names.map((name) => replicaOf(host, server, name));
  return { host, server, replicas, clock: host.clock as VirtualClock };
}

const spec = (server: FakeApiServer) =>
  server.get(LEASES, "istio-system", "causeway-status-default")?.["spec"] as Record<string, unknown> | undefined;

test("one of two replicas leads, says so in the lease, and renews it", async () => {
  const { host, server, replicas, clock } = lab("one", "two");
  for (const { election } of replicas) election.start();
  await clock.pass(5_000);
  const leaders = replicas.filter(({ election }) => election.leading);
  assert.equal(leaders.length, 1);
  const [leader] = leaders;
  assert.equal(spec(server)?.["holderIdentity"], leader!.election.identity);
  assert.match(leader!.election.identity, /^(one|two)_[0-9a-f]{16}$/);
  assert.equal(host.metric("leader_election_master_status{name=causeway-status-default}"), 1);
  const renewed = spec(server)?.["renewTime"];
  await clock.pass(60_000);
  assert.ok(leader!.election.leading);
  assert.notEqual(spec(server)?.["renewTime"], renewed);
  assert.match(String(spec(server)?.["renewTime"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  const writes = server.requests.filter(({ verb, atMs }) => verb === "PUT" && atMs > 5_000).length;
  assert.ok(writes >= 28 && writes <= 31, `${writes} renewals in a minute`);
});

test("what others keep in the lease stays there", async () => {
  const { server, replicas, clock } = lab("one");
  const metadata = { name: "causeway-status-default", namespace: "istio-system", labels: { team: "mesh" } };
  server.put({
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata,
    spec: { strategy: "OldestEmulationVersion" },
  });
  replicas[0]!.election.start();
  await clock.pass(5_000);
  assert.equal(spec(server)?.["holderIdentity"], replicas[0]!.election.identity);
  assert.equal(spec(server)?.["strategy"], "OldestEmulationVersion");
  assert.deepEqual(server.get(LEASES, "istio-system", metadata.name)?.metadata.labels, { team: "mesh" });
});

test("a leader that closes gives the lease back, and the other takes it within seconds", async () => {
  const { server, replicas, clock } = lab("one", "two");
  replicas[0]!.election.start();
  await clock.pass(100);
  replicas[1]!.election.start();
  await clock.pass(1_000);
  const { election, term } = replicas[0]!;
  assert.ok(term?.lives());
  const closed = election.close();
  assert.ok(!election.leading && !term!.lives() && term!.signal.aborted);
  await clock.pass(100);
  await closed;
  await clock.pass(3_000);
  assert.ok(replicas[1]!.election.leading);
  assert.equal(spec(server)?.["leaseTransitions"], 1);
});

test("a leader that cannot reach the server stops within ten seconds, and leads again when it can", async () => {
  const { host, server, replicas, clock } = lab("one");
  const [{ election }] = replicas as [Replica];
  election.start();
  await clock.pass(3_000);
  const { term } = replicas[0]!;
  server.faults.down = true;
  await clock.pass(10_001);
  assert.ok(!election.leading && !term!.lives() && replicas[0]!.term === undefined);
  await clock.pass(600_000);
  assert.equal(host.lines.filter((line) => line.startsWith("warn status: lease ")).length, 1);
  server.faults.down = false;
  await clock.pass(5_000);
  assert.ok(election.leading && replicas[0]!.term !== term);
});

test("a term is over when the clock says so, even if no timer ran", async () => {
  const { replicas, clock, host } = lab("one");
  replicas[0]!.election.start();
  await clock.pass(1_000);
  const { term } = replicas[0]!;
  assert.ok(term!.lives());
  // The event loop stands still: time passes, and nothing runs.
  const elapsedMs = clock.elapsedMs() + 20_000;
  Object.defineProperty(host.clock, "elapsedMs", { value: () => elapsedMs });
  assert.ok(!term!.lives() && !term!.signal.aborted);
});

test("a server that forbids leases is complained of with the verbs to grant", async () => {
  const { host, server, replicas, clock } = lab("one");
  server.faults.forbidden = ({ resource }) => resource === "leases";
  replicas[0]!.election.start();
  await clock.pass(60_000);
  const complaints = host.lines.filter((line) => line.includes("grant get, create and update on leases"));
  assert.equal(complaints.length, 1, host.lines.join("\n"));
});

test("an answer that is no Lease is no reason to take one", async () => {
  const { server, replicas, clock } = lab("one");
  const metadata = { name: "causeway-status-default", namespace: "istio-system" };
  server.put({ apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata });
  server.faults.tamper = () => ({ kind: "Status" });
  replicas[0]!.election.start();
  await clock.pass(60_000);
  assert.ok(!replicas[0]!.election.leading);
  assert.ok(server.requests.every(({ verb }) => verb === "GET"));
});

for (let seed = 1; seed <= 40; seed++)
  test(`two replicas never lead at once, whatever the server and the network do (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const { server, clock, host } = lab();
    let lateMs: readonly number[] = [0];
    const begin = (name: string): Replica => {
      const replica = replicaOf(host, server, name, () => random.pick(lateMs));
      replica.election.start();
      return replica;
    };
    const replicas = ["one", "two", "three"].map(begin);
    let terms = new Set<string>();
    const check = (): void => {
      const leaders = replicas.filter(({ election }) => election.leading).map(({ election }) => election.identity);
      assert.ok(leaders.length <= 1, `${leaders.join(" and ")} lead at ${clock.elapsedMs()}\n${host.lines.join("\n")}`);
      terms = new Set([...terms, ...leaders]);
    };
    const { faults } = server;
    for (let step = 0; step < 200; step++) {
      faults.down = random.chance(faults.down ? 0.5 : 0.02);
      faults.silent = random.chance(faults.silent ? 0.5 : 0.02);
      if (random.chance(0.1)) faults.latencyMs = random.pick([1, 50, 900, 2_500]);
      if (random.chance(0.1)) faults.errorRate = random.pick([0, 0, 0.2, 0.6]);
      if (random.chance(0.1)) lateMs = random.pick([[0], [0, 4_000], [100, 3_000, 6_000]]);
      for (const { connection, election } of replicas)
        connection.revoked = random.chance(connection.revoked ? 0.9 : election.leading ? 0.1 : 0.02);
      if (random.chance(0.05)) {
        const at = random.below(replicas.length);
        void replicas[at]!.election.close();
        replicas[at] = begin(`again-${step}`);
      }
      for (let ms = 0; ms < 2_000; ms += 250) {
        await clock.pass(random.below(500));
        check();
      }
    }
    Object.assign(faults, { down: false, silent: false, latencyMs: 1, errorRate: 0 });
    lateMs = [0];
    for (const { connection } of replicas) connection.revoked = false;
    await clock.pass(60_000);
    check();
    assert.equal(replicas.filter(({ election }) => election.leading).length, 1);
    assert.ok(terms.size > 1, "nobody ever followed another, so nothing was tried");
  });
