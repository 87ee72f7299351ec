import assert from "node:assert/strict";
import fc from "fast-check";
import { before, test } from "mocha";
import type { Credentials } from "../../src/caller.ts";
import { envoy } from "../../proto/gen/mesh.js";
import { clusterId } from "../../src/names.ts";
import { federatedKey } from "../../src/registry/model/federated-service.ts";
import { exportsTo, takesIn } from "../../src/registry/model/granted.ts";
import { isSnapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { FUZZ_MS, fuzzing } from "../kits/fuzz.ts";
import { authorities, type PeerEnd, ServingLab, sharedService, shownBy } from "./serving-lab.ts";

let shown: Credentials;
before(async () => void (shown = await shownBy((await authorities()).west)));

const NAMESPACES = ["a", "b", "c"];
const west = { cluster: clusterId("west"), trustDomain: "cluster.local" };

/** What a peer holds, kept as it is told; answers wait until they are asked for. */
class Reader {
  readonly held = new Map<string, string>();
  #unanswered: envoy.service.discovery.v3.DeltaDiscoveryResponse[] = [];
  #end: PeerEnd | undefined;
  wholeStates = 0;

  async connect(lab: ServingLab): Promise<void> {
    this.#end?.end();
    this.#unanswered = [];
    this.#end = await lab.connect(shown);
    this.#end.ask("FSDS", "west", { initialResourceVersions: Object.fromEntries(this.held) });
    this.hear();
  }

  hear(): void {
    for (const response of this.#end?.read() ?? []) {
      for (const { name, version } of response.resources)
        if (isSnapshotEnd(name!)) this.wholeStates += 1;
        else this.held.set(name!, version!);
      for (const name of response.removedResources) this.held.delete(name);
      this.#unanswered.push(response);
      assert.ok(this.#unanswered.length <= 1, "two responses wait for their answers");
    }
  }

  answer(): void {
    for (const response of this.#unanswered.splice(0)) this.#end!.ack(response);
    this.hear();
  }
}

type Step = readonly ["share" | "withdraw" | "grant" | "bound" | "ungrant" | "answer" | "reconnect", number, number];
const steps = fc.array(
  fc.tuple(
    fc.constantFrom<Step[0][]>("share", "share", "withdraw", "grant", "bound", "ungrant", "answer", "reconnect"),
    fc.nat(8),
    fc.nat(3),
  ),
  { maxLength: 40 },
);

function take(lab: ServingLab, [verb, at, count]: Step): void {
  const service = sharedService(NAMESPACES[at % 3]!, `s${Math.floor(at / 3)}`, { ready: count, total: 9 });
  if (verb === "share") lab.share(service);
  else if (verb === "withdraw") lab.services.delete(federatedKey(service));
  else if (verb === "grant" || verb === "bound") {
    const namespaces = NAMESPACES.filter((_, bit) => (at >> bit) % 2 === 1);
    lab.grant(`${verb}${count}`, {
      bound: verb === "bound",
      cluster: verb === "bound" && count === 0 ? undefined : west.cluster,
      exports: { namespaces, services: count === 3 ? ["s0"] : undefined },
    });
  } else if (verb === "ungrant") for (const [key] of [...lab.grants.entries()].slice(0, 1)) lab.grants.delete(key);
  lab.settle();
}

test("whatever is shared and granted, in whatever order, a peer holds what it may read, and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      const lab = await ServingLab.open();
      const reader = new Reader();
      await reader.connect(lab);
      for (const step of taken) {
        if (step[0] === "reconnect") await reader.connect(lab);
        else if (step[0] === "answer") reader.answer();
        else take(lab, step);
        reader.hear();
      }
      for (let last = -1; last !== reader.held.size || reader.wholeStates === 0;) {
        last = reader.held.size;
        reader.answer();
      }
      reader.answer();
      const granted = exportsTo(
        west,
        Array.from(lab.grants.entries(), ([, grant]) => grant),
      );
      const everything = lab.exports.lease({ granted: [], segment: undefined }).logs;
      const right = Array.from(lab.services.entries(), ([key, { namespace, name }]) => ({ key, namespace, name }))
        .filter(({ namespace, name }) => takesIn(granted, namespace, name))
        .map(({ key }) => [key as string, [...everything.values()].map((log) => log.versionOf(key)).find(Boolean)]);
      assert.deepEqual([...reader.held].sort(), right.sort());
      assert.ok(lab.exports.sets <= 2, "logs of scopes that nobody has any more are kept");
    }),
    fuzzing(150) as fc.Parameters<[Step[]]>,
  );
}).timeout(FUZZ_MS);
