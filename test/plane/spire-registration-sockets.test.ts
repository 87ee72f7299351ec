import assert from "node:assert/strict";
import { test } from "mocha";
import { loadConfig } from "../../src/config.ts";
import { k8sAgent } from "../../src/demo/spire/agent-service.ts";
import { SpireStandIn } from "../../src/demo/spire/stand-in.ts";
import type { Host } from "../../src/host.ts";
import { SpireRegistration } from "../../src/plane/spire-registration.ts";
import { GrpcSpireServer } from "../../src/spire/server-api.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { until } from "../kits/until.ts";
import { testMesh } from "../registry/mesh.ts";
import { captured, namespace, node } from "../registry/spire-mesh.ts";
import { REVIEWS, SpireLab } from "./spire-lab.ts";

const HURRY = 200;

/** Two hundred times as fast, for looks and waits. */
function hurried(host: Host): Host {
  const { clock } = host;
  return {
    ...host,
    clock: {
      now: () => clock.now(),
      elapsedMs: () => clock.elapsedMs() * HURRY,
      after: (delayMs, task) => clock.after(delayMs / HURRY, task),
    },
  };
}

test("over SPIRE's messages entries are made, put right, left to others where they are theirs, and removed", async () => {
  await using folder = await folderOf({});
  const host = realHost();
  const trustDomain = "cluster.local";
  await using standIn = await SpireStandIn.start({
    ...{ host, folder: folder.path, trustDomain },
    agents: [k8sAgent(trustDomain, "east", "n1", host.clock.now() + 3_600_000)],
  });
  const address = { kind: "socket", path: standIn.socketPath } as const;
  const server = new GrpcSpireServer(host, { address, trustDomain });
  const { graph, registry, apply, remove } = testMesh();
  const config = loadConfig(
    { cluster: "east" },
    { SPIRE_SERVER_ADDRESS: `unix:${standIn.socketPath}`, SPIRE_REGISTER: "on" },
    { listenAddress: "127.0.0.1", stateDir: folder.path },
  );
  const nothing = (): void => {};
  const context = { host: hurried(host), config, graph, registry, noteProblems: nothing, noteMesh: nothing };
  const registration = new SpireRegistration(context, server);
  await registration.open();
  const ambient = (name: string) => captured(name, { "istio.io/dataplane-mode": "ambient" });
  apply(namespace("shop"), node("n1"), ambient("cart"), ambient("web"));
  graph.onDirty = () => void host.clock.after(0, () => graph.flush());
  registration.start({ election: () => undefined });

  const own = () => standIn.entries.all().filter(({ id }) => id.startsWith("causeway.east."));
  await until(() => own().length === 2);
  const [cart] = own();
  assert.equal(cart!.spiffeId, "spiffe://cluster.local/ns/shop/sa/cart");
  assert.equal(cart!.parentId, standIn.agents[0]!.id);
  assert.deepEqual(cart!.selectors, ["k8s:pod-uid:uid-cart"]);

  // What somebody changes is as it was at the next look; what is theirs stays theirs.
  const theirs = {
    ...cart!,
    id: "controller.1",
    selectors: ["k8s:pod-uid:uid-new"],
    spiffeId: "spiffe://cluster.local/ns/shop/sa/new",
  };
  standIn.entries.put(theirs, { ...cart!, hint: "spoiled" });
  apply(ambient("new"));
  await until(() => registration.view().state?.elsewhere === 1 && own().every(({ hint }) => hint === ""));
  assert.equal(own().length, 2);

  remove(ambient("cart"));
  await until(() => own().length === 1);
  assert.deepEqual(
    own().map(({ spiffeId }) => spiffeId),
    ["spiffe://cluster.local/ns/shop/sa/web"],
  );
  assert.ok(standIn.entries.get("controller.1") !== undefined);
  assert.deepEqual(registration.problems(), []);
  await registration.close();
  server.close();
});

test("a control plane that registers has an entry made for every pod of the mesh, and SPIRE signs for them", async () => {
  const lab = new SpireLab();
  try {
    await lab.startSpire();
    await lab.startPlane({ spireRegister: "on" });
    const pods = Array.from(lab.plane.registry.pods.entries(), ([, pod]) => pod).filter(
      ({ tunnel }) => tunnel !== "none",
    );
    assert.ok(pods.length > 5, `${pods.length} pods are in the mesh`);
    await until(() => lab.plane.registration()?.state?.phase === "settled");
    const known = new Set(lab.spire.entries.all().flatMap(({ selectors }) => selectors));
    assert.deepEqual(
      pods.filter(({ uid }) => !known.has(`k8s:pod-uid:${uid}`)),
      [],
    );
    assert.deepEqual([lab.plane.registration()!.uncovered, lab.problems()], [[], ""]);
    const { spiffeId } = await lab.askAgain(REVIEWS);
    assert.equal(spiffeId, REVIEWS);
  } finally {
    await lab.close();
  }
});
