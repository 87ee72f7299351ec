import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { checkServerIdentity, connect, createServer, type Server, type TLSSocket } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import Long from "long";
import { istio } from "../../proto/gen/mesh.js";
import { nodeOf } from "../../src/commands/watch.ts";
import { DeltaClient } from "../../src/xds/delta-client.ts";
import { AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import { encodeDeltaRequest } from "../../src/xds/wire.ts";
import { CREATE_CERTIFICATE } from "../../src/ca/service.ts";
import { makeCsr } from "../kits/csr.ts";
import type { Causeway } from "./causeway-process.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;
const DISCOVERY = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/** Nobody on this machine is that slow: what takes longer counts as refused. */
const ANSWER_MS = 10_000;
const same = (bytes: Buffer): Buffer => bytes;

/** What a workload shows and what it trusts, from one answer of the certificate service. All PEM. */
export interface Material {
  readonly key: string;
  /** Leaf first, without a root. */
  readonly chain: readonly string[];
  readonly roots: string;
  /** As `performance.now`. */
  readonly atMs: number;
}

export interface WorkloadOptions {
  readonly spiffeId: string;
  readonly plane: Causeway;
  /** A service account token of its pod. */
  readonly token: string;
  readonly cluster: string;
  /** How old what it holds becomes before it asks for the next. */
  readonly renewMs: number;
  /** What it trusts until its first certificate: the roots that are mounted into every pod. */
  readonly mounted: string;
  /** Whether it may ask for discovery. */
  readonly reads: boolean;
}

/**
 * A workload as ztunnel makes one of a pod: it trusts the roots that came with its certificate, and no others; each
 * handshake is verified by both ends, in TLS 1.3, and none resumes another. Its requests are made by a library that is not
 * ours.
 */
export class DrillWorkload {
  readonly #options: WorkloadOptions;
  readonly #server: Server;
  #plane: Causeway;
  #material: Material | undefined;

  private constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#plane = options.plane;
    this.#server = createServer({ requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" });
    this.#server.on("secureConnection", (socket: TLSSocket) => socket.on("error", () => {}).end("served"));
    this.#server.on("tlsClientError", () => {});
  }

  /** Holds nothing yet. */
  static async start(options: WorkloadOptions): Promise<DrillWorkload> {
    const workload = new DrillWorkload(options);
    workload.#server.listen(0, "127.0.0.1");
    await once(workload.#server, "listening");
    return workload;
  }

  get spiffeId(): string {
    return this.#options.spiffeId;
  }
  get cluster(): string {
    return this.#options.cluster;
  }
  get material(): Material {
    if (this.#material === undefined) throw new Error(`${this.spiffeId} has no certificate yet`);
    return this.#material;
  }
  get plane(): Causeway {
    return this.#plane;
  }
  get reads(): boolean {
    return this.#options.reads;
  }
  get due(): boolean {
    return this.#material === undefined || performance.now() - this.#material.atMs >= this.#options.renewMs;
  }

  /** From now on it asks another replica; what it holds, it keeps. */
  turnTo(plane: Causeway): void {
    this.#plane = plane;
  }

  /** Asks the certificate service over a connection of its own. */
  async renew(): Promise<void> {
    const { token, cluster, mounted } = this.#options;
    const atMs = performance.now();
    const { pem: csr, key } = await makeCsr({ uris: [this.spiffeId] });
    const request = { csr, validityDuration: Long.fromNumber(TTL_SECONDS) };
    const client = clientOf(this.#plane, this.#material?.roots ?? mounted);
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    metadata.set("clusterid", cluster);
    try {
      const message = Buffer.from(IstioCertificateRequest.encode(request).finish());
      const answer = await new Promise<Buffer>((resolve, reject) =>
        client.makeUnaryRequest(CREATE_CERTIFICATE, same, same, message, metadata, deadline(), (error, bytes) =>
          error === null ? resolve(bytes!) : reject(error),
        ),
      );
      const { certChain } = IstioCertificateResponse.decode(answer);
      this.#hold({ key, chain: certChain.slice(0, -1), roots: certChain.at(-1)!, atMs });
    } finally {
      client.close();
    }
  }

  /** A handshake with another workload. @throws if either end refuses the other. */
  async call(other: DrillWorkload): Promise<void> {
    const { key, chain, roots } = this.material;
    const { port } = other.#server.address() as AddressInfo;
    const socket = connect({
      ...{ port, host: "127.0.0.1", key, cert: chain.join(""), ca: roots, minVersion: "TLSv1.3" },
      checkServerIdentity: (_, { subjectaltname }) =>
        subjectaltname === `URI:${other.spiffeId}` ? undefined : new Error(`the server is ${subjectaltname}`),
    });
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
    try {
      // In TLS 1.3 a client hears of its own refusal only after its handshake: so it waits for what the server says.
      let said = "";
      for await (const bytes of socket) said += String(bytes);
      if (said !== "served") throw new Error("the server closed the connection without a word");
    } finally {
      socket.destroy();
    }
  }

  /** A new stream of discovery, with its certificate alone. @throws unless it is answered. */
  async discover(): Promise<void> {
    const { token, cluster } = this.#options;
    const { key, chain, roots } = this.material;
    const node = nodeOf(token);
    await discoverWith({ plane: this.#plane, roots, cluster, node, shown: { key, chain: chain.join("") } });
  }

  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }

  #hold(material: Material): void {
    this.#material = material;
    this.#server.setSecureContext({
      ...{ key: material.key, cert: material.chain.join(""), ca: material.roots, minVersion: "TLSv1.3" },
    });
  }
}

/** The shortest that the service gives; the workloads of a drill ask long before its half. */
const TTL_SECONDS = 60;

const deadline = (): grpc.CallOptions => ({ deadline: Date.now() + ANSWER_MS });

/** A connection of its own: neither sockets nor sessions are shared. */
function clientOf(plane: Causeway, roots: string, shown?: { readonly key: string; readonly chain: string }) {
  const { xds } = plane.connection!;
  const bytes = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  const credentials = grpc.credentials.createSsl(Buffer.from(roots), bytes(shown?.key), bytes(shown?.chain), {
    checkServerIdentity: (_, certificate) => checkServerIdentity("127.0.0.1", certificate),
  });
  return new grpc.Client(xds, credentials, {
    "grpc.ssl_target_name_override": "localhost",
    "grpc.use_local_subchannel_pool": 1,
    // A refused handshake is to be seen, not tried again until it is none.
    "grpc.enable_retries": 0,
  });
}

export interface Discovery {
  readonly plane: Causeway;
  /** PEM, of what verifies the control plane. */
  readonly roots: string;
  readonly cluster: string;
  readonly node: ReturnType<typeof nodeOf>;
  /** All that the client proves itself with, in PEM. */
  readonly shown: { readonly key: string; readonly chain: string };
}

/** A stream of discovery for whoever shows this certificate. @throws unless it is answered. */
export async function discoverWith({ plane, roots, cluster, node, shown }: Discovery): Promise<void> {
  const client = clientOf(plane, roots, shown);
  const metadata = new grpc.Metadata();
  metadata.set("clusterid", cluster);
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(DISCOVERY, same, same, metadata, deadline());
  try {
    await new Promise<void>((resolve, reject) => {
      stream.on("data", () => resolve());
      stream.on("error", reject);
      stream.on("end", () => reject(new Error("the stream ended without an answer")));
      for (const request of new DeltaClient(node, [AUTHORIZATION_TYPE]).start())
        stream.write(Buffer.from(encodeDeltaRequest(request)));
    });
  } finally {
    stream.on("error", () => {}).cancel();
    client.close();
  }
}
