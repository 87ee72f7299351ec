import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { toPem } from "../src/pem.ts";
import { selfMadeRoot } from "../src/ca/self-made-root.ts";
import { type ServingCertificateMaterial, ServingCertificates } from "../src/ca/serving-certificate.ts";
import { GrpcServer } from "../src/grpc/server.ts";
import type { Host } from "../src/host.ts";
import { clusterId, networkId, podUid, serviceName, type WorkloadUid } from "../src/names.ts";
import { Graph } from "../src/registry/collection/graph.ts";
import { Index } from "../src/registry/collection/index-by.ts";
import { Source } from "../src/registry/collection/source.ts";
import type { Workload } from "../src/registry/model/workload.ts";
import { controlPlaneId } from "../src/spiffe.ts";
import { meshLogs, type MeshLogs } from "../src/xds/mesh-logs.ts";
import { XdsServer } from "../src/xds/server.ts";
import { quietHost } from "./quiet-host.ts";

const WORKLOADS_PER_SERVICE = 20;

/** A workload as large as those of real meshes: some 480 bytes with its envelope (contract operations.md 2.3). */
export function workload(at: number, revision = 0): Workload {
  const [namespace, name] = [`team-${at % 100}`, `checkout-7d4b9c6f5-${at.toString(36).padStart(5, "0")}`];
  const service = serviceName(
    namespace,
    `checkout-${Math.floor(at / WORKLOADS_PER_SERVICE)}.${namespace}.svc.cluster.local`,
  );
  return {
    uid: podUid(clusterId("Kubernetes"), namespace, name),
    name,
    namespace,
    cluster: clusterId("Kubernetes"),
    network: networkId("network-1"),
    addresses: [`10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`],
    hostname: "",
    tunnel: "hbone",
    nativeTunnel: false,
    trustDomain: "cluster.local",
    serviceAccount: `checkout-${at % 50}`,
    node: `node-${at % 500}.eu-central-1.compute.internal`,
    canonicalName: "checkout",
    canonicalRevision: `v${revision}`,
    workloadName: "checkout",
    healthy: revision % 2 === 0,
    hostNetwork: false,
    locality: { region: "eu-central-1", zone: `eu-central-1${"abc"[at % 3]!}`, subzone: "" },
    services: [
      {
        service,
        ports: [
          { servicePort: 80, targetPort: 8080 },
          { servicePort: 443, targetPort: 8443 },
        ],
      },
    ],
    waypoint: undefined,
    networkGateway: undefined,
    applicationTunnel: undefined,
    policies: [],
    capacity: undefined,
  };
}

/** Workloads, their logs and a discovery port; nothing of the registry. */
export class BenchPlane {
  readonly host: Host = quietHost();
  readonly logs: MeshLogs["logs"];
  readonly #graph = new Graph();
  readonly #workloads = new Source<WorkloadUid, Workload>(this.#graph, "workloads", () => false);
  readonly #xds: XdsServer;

  constructor(count: number) {
    const workloadsByService = new Index(this.#graph, this.#workloads, "service", ({ services }) =>
      services.map(({ service }) => service),
    );
    const collections = {
      workloads: this.#workloads,
      services: new Source<never, never>(this.#graph, "services"),
      policies: new Source<never, never>(this.#graph, "policies"),
      workloadsByService,
    };
    this.logs = meshLogs(this.#graph, collections, () => this.#xds.changed()).logs;
    this.#xds = new XdsServer(this.host, {
      logs: this.logs,
      debug: { systemNamespace: "istio-system", page: () => Promise.resolve(Buffer.alloc(0)) },
      controlPlane: "{}",
    });
    for (let at = 0; at < count; at += 1) this.#workloads.set(workload(at).uid, workload(at));
    this.#graph.flush();
  }

  /** Flips one endpoint. */
  change(at: number, revision: number): void {
    this.#workloads.set(workload(at).uid, workload(at, revision));
    this.#graph.flush();
  }

  async listen(
    certificate: ServingCertificateMaterial,
  ): Promise<{ readonly port: number; readonly server: GrpcServer }> {
    const server = new GrpcServer(this.host, {
      name: "bench",
      methods: this.#xds.methods(undefined),
      certificate: { ...certificate, clientRoots: undefined },
      limits: { connectionsPerAddressMax: 100_000 },
    });
    const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
    return { port, server };
  }
}

/** A serving certificate for 127.0.0.1, and the root that verifies it. */
export async function benchCertificate(): Promise<ServingCertificateMaterial & { readonly root: string }> {
  const folder = mkdtempSync(join(tmpdir(), "causeway-bench-"));
  const host = quietHost();
  const authority = await selfMadeRoot(host, folder, "cluster.local");
  rmSync(folder, { recursive: true });
  const serving = new ServingCertificates(
    host,
    authority,
    ["localhost", "127.0.0.1"],
    controlPlaneId("cluster.local", "istio-system"),
  );
  const material = serving.start(() => {});
  serving.close();
  return { ...material, root: toPem("CERTIFICATE", authority.roots[0]!) };
}

/** What carries the same bytes without us: HTTP/2 over TLS, and nothing else. */
export async function bareHttp2(
  { chain, key }: ServingCertificateMaterial,
  onStream: (stream: ServerHttp2Stream) => void,
): Promise<{ readonly port: number; readonly server: Http2SecureServer }> {
  const server = createSecureServer({ cert: chain, key, allowHTTP1: false });
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    onStream(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, server };
}
