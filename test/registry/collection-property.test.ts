import assert from "node:assert/strict";
import { test } from "mocha";
import type { Collection } from "../../src/registry/collection/collection.ts";
import { derive } from "../../src/registry/collection/derive.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Index } from "../../src/registry/collection/index-by.ts";
import { merge } from "../../src/registry/collection/merge.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { seededRandom } from "../sim/world.ts";

interface Pod {
  readonly app: string;
  readonly node: string;
  readonly address: string;
}
interface Service {
  readonly host: string;
  readonly app: string;
}

/** A small registry with everything a graph can have: chains, indexes of derived values, merges, contested keys. */
function build() {
  const graph = new Graph();
  const pods = new Source<string, Pod>(graph, "pods");
  const nodes = new Source<string, { zone: string }>(graph, "nodes");
  const services = new Source<string, Service>(graph, "services");
  const podsByApp = new Index(graph, pods, "app", (pod) => [pod.app, "any"]);
  const endpoints = derive(graph, {
    name: "endpoints",
    from: services,
    reads: { pods: podsByApp, nodes },
    to: (service, reads, key) =>
      reads.pods
        .get(service.app)
        .map(
          (pod) => [`${key}/${pod.address}`, { host: service.host, zone: reads.nodes.get(pod.node)?.zone }] as const,
        ),
  });
  // Several pods may have one address, and then write one key.
  const byAddress = derive(graph, {
    name: "by-address",
    from: pods,
    reads: { nodes },
    to: (pod, reads, key) => [
      [pod.address, { pod: key, zone: reads.nodes.get(pod.node)?.zone }],
      [`app ${pod.app}`, { pod: key, zone: undefined }],
    ],
  });
  const endpointsByHost = new Index(graph, endpoints, "host", ({ host }) => [host]);
  const globals = merge(graph, {
    name: "globals",
    from: endpoints,
    by: ({ host }) => host,
    combine: (host, members) => (host === "h0" ? undefined : { host, zones: members.map(({ zone }) => zone) }),
  });
  const summaries = derive(graph, {
    name: "summaries",
    from: byAddress,
    reads: { hosts: endpointsByHost, globals },
    to: ({ pod, zone }, reads, key) =>
      zone === "z0"
        ? []
        : [[`s/${key}`, { pod, count: reads.hosts.get(`h${pod.length % 3}`).length, all: reads.globals.get("h1") }]],
  });
  return { graph, sources: { pods, nodes, services }, derived: [endpoints, byAddress, globals, summaries] };
}

/** A mirror kept from batches alone, which must be consistent with what it had. */
function mirrorOf(collection: Collection<string, unknown>): Map<string, unknown> {
  const mirror = new Map<string, unknown>();
  collection.observe((batch) => {
    for (const { key, before, after } of batch) {
      assert.deepEqual(mirror.get(key), before);
      assert.notDeepEqual(before, after, `${collection.name} told of ${key}, which did not change`);
      if (after === undefined) mirror.delete(key);
      else mirror.set(key, after);
    }
  });
  return mirror;
}

const sorted = (entries: Iterable<readonly [string, unknown]>) => [...entries].sort(([a], [b]) => (a < b ? -1 : 1));

function runSeed(seed: number): void {
  const random = seededRandom(seed);
  const live = build();
  const mirrors = live.derived.map((collection) => mirrorOf(collection as Collection<string, unknown>));
  const { pods, nodes, services } = live.sources;
  const pod = (): Pod => ({
    app: `a${random.below(3)}`,
    node: `n${random.below(3)}`,
    address: `10.0.0.${random.below(4)}`,
  });
  const service = (): Service => ({ host: `h${random.below(3)}`, app: `a${random.below(3)}` });
  const cluster = () => `c${random.below(2)}/`;
  const steps: (() => void)[] = [
    () => pods.set(`${cluster()}p${random.below(5)}`, pod()),
    () => pods.set(`${cluster()}p${random.below(5)}`, pod()),
    () => pods.delete(`${cluster()}p${random.below(5)}`),
    () => services.set(`${cluster()}s${random.below(4)}`, service()),
    () => services.delete(`${cluster()}s${random.below(4)}`),
    () => nodes.set(`n${random.below(3)}`, { zone: `z${random.below(3)}` }),
    () => nodes.delete(`n${random.below(3)}`),
    () => services.replace("c1/", random.chance(0.5) ? [] : [["c1/s1", service()]]),
    () => pods.replace("c0/", [[`c0/p${random.below(5)}`, pod()]]),
  ];
  for (let step = 0; step < 60; step++) {
    random.pick(steps)();
    if (random.chance(0.4)) live.graph.flush();
  }
  live.graph.flush();

  const scratch = build();
  const names = Object.keys(live.sources) as (keyof typeof live.sources)[];
  for (const name of names)
    for (const [key, value] of live.sources[name].entries())
      (scratch.sources[name] as Source<string, unknown>).set(key, value);
  scratch.graph.flush();
  for (const [at, collection] of live.derived.entries()) {
    assert.deepEqual(sorted(collection.entries()), sorted(scratch.derived[at]!.entries()), collection.name);
    assert.deepEqual(sorted(mirrors[at]!), sorted(collection.entries()), `the batches of ${collection.name}`);
  }
}

test("whatever is written in whatever order, incremental equals from scratch (500 seeds)", () => {
  let outputs = 0;
  for (let seed = 1; seed <= 500; seed++) {
    try {
      runSeed(seed);
      outputs += 1;
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  assert.equal(outputs, 500);
});
