import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect, createServer, type TLSSocket } from "node:tls";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { afterEach } from "mocha";
import { envoy as own } from "../../proto/gen/envoy.js";
import { envoy } from "../../proto/gen/mesh.js";
import type { Environment, Options } from "../../src/command.ts";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { FIRST_LOOK_MS, GatewayAgent } from "../../src/gateway/agent.ts";
import { ROOT_LOOK_MS } from "../../src/gateway/root-file.ts";
import { loadGatewaySettings } from "../../src/gateway/settings.ts";
import type { Clock } from "../../src/host.ts";
import { clusterId } from "../../src/names.ts";
import { PrometheusMetrics } from "../../src/prometheus.ts";
import { writeCacerts } from "../kits/cacerts.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import { WAYPOINT_POD } from "../kits/waypoint-pod.ts";

const { DeltaDiscoveryRequest, DeltaDiscoveryResponse } = envoy.service.discovery.v3;
const { Secret } = own.extensions.transport_sockets.tls.v3;
const east = clusterId("east");

const MESH = `${WAYPOINT_POD}---
apiVersion: v1
kind: ServiceAccount
metadata: { name: cart, namespace: shop }
`;

/** What each test opened, last first. */
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A control plane of a folder, and all that a gateway's agent needs beside it. */
export async function agentLab() {
  const folder = await folderOf({ "manifests/mesh.yaml": MESH });
  cleanups.push(() => folder[Symbol.asyncDispose]());
  const root = await TestAuthority.create();
  writeCacerts(folder.at("cacerts"), root);
  writeFileSync(folder.at("roots.pem"), root.root);
  const plane = await openPlane(folder.at);
  const tokenFor = async (serviceAccount: string, ttlSeconds?: number): Promise<string> =>
    plane.tokens.get(east)!.issue({ namespace: "shop", serviceAccount, pod: undefined }, ttlSeconds);
  writeFileSync(folder.at("token"), await tokenFor("waypoint"));
  return { folder, root, plane, tokenFor, address: `127.0.0.1:${plane.ports.xds}` };
}

type Lab = Awaited<ReturnType<typeof agentLab>>;

async function openPlane(at: (name: string) => string): Promise<ControlPlane> {
  const flags = {
    cluster: "east",
    manifests: [at("manifests")],
    state: at("state"),
    cacerts: at("cacerts"),
    xdsPort: "0",
  };
  const plane = await ControlPlane.open(realHost(), {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.resolve(new Uint8Array()),
  });
  cleanups.push(() => plane.close());
  await plane.start(new AbortController().signal);
  return plane;
}

/** An agent in this process, whose Envoy another container starts. */
export async function startAgent(lab: Lab, options: Options = {}, environment: Environment = {}) {
  const real = realHost();
  const { clock } = real;
  let firstLook = (): void => assert.fail("nobody would ever look whether it is ready");
  // What is looked at every five seconds is looked at every twenty milliseconds.
  const after: Clock["after"] = (delayMs, task) => {
    if (delayMs !== FIRST_LOOK_MS) return clock.after(delayMs === ROOT_LOOK_MS ? 20 : delayMs, task);
    firstLook = task;
    return { [Symbol.dispose]: () => {} };
  };
  const base = { ...real, clock: { ...clock, after } };
  const metrics = new PrometheusMetrics();
  const flags = {
    ...{ gateway: "waypoint", pod: "waypoint-1", namespace: "shop", address: "127.0.0.1", cluster: "east" },
    ...{
      ca: lab.address,
      root: lab.folder.at("roots.pem"),
      token: lab.folder.at("token"),
      runDir: lab.folder.at("run"),
    },
    ...{ readyPort: "0", metricsPort: "0", envoyAdminPort: "1" },
    ...options,
  };
  const agent = new GatewayAgent({ ...base, metrics }, loadGatewaySettings(flags, environment));
  cleanups.push(() => agent.close());
  await agent.start();
  const get = async (path: string, port = agent.readyPort): Promise<string> =>
    (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  return {
    agent,
    lines: base.lines,
    get,
    firstLook: () => firstLook(),
    metrics: () => get("/metrics", agent.metricsPort),
  };
}

/** What an Envoy reads over the socket in a run folder. */
export async function secretOf(lab: Lab, name: string) {
  const same = (bytes: Buffer): Buffer => bytes;
  const client = new grpc.Client(`unix:${lab.folder.at("run/secrets.sock")}`, grpc.credentials.createInsecure());
  const path = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";
  const stream = client.makeBidiStreamRequest(path, same, same);
  stream.on("error", () => {});
  stream.write(Buffer.from(DeltaDiscoveryRequest.encode({ resourceNamesSubscribe: [name] }).finish()));
  const [bytes] = (await once(stream, "data")) as [Buffer];
  stream.cancel();
  client.close();
  return Secret.decode(DeltaDiscoveryResponse.decode(bytes).resources[0]!.resource!.value!);
}

/** A place on the way to the control plane that reads all that is sent, TLS or not. */
export async function eavesdropper(lab: Lab) {
  const { certificate: cert, key } = await lab.root.issue();
  const heard: Buffer[] = [];
  const port = Number(lab.address.split(":")[1]);
  const server = createServer({ cert, key, ALPNProtocols: ["h2"] }, (socket: TLSSocket) => {
    const onward = connect({ host: "127.0.0.1", port, ALPNProtocols: ["h2"], rejectUnauthorized: false });
    socket.on("data", (bytes) => void heard.push(Buffer.from(bytes)));
    for (const end of [socket, onward]) end.on("error", () => (socket.destroy(), onward.destroy()));
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, heard: () => Buffer.concat(heard) };
}
