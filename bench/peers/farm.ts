import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import type { ServingCertificateMaterial } from "../../src/ca/serving-certificate.ts";
import { MessageReader, messagePrefix } from "../../src/grpc/frames.ts";
import { ADDRESS_TYPE, FSDS_TYPE, type Resource, SGDS_TYPE, type TypeUrl } from "../../src/xds/resource.ts";
import { encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import { snapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { decodeDeltaRequest, encodeDeltaResponse } from "../../src/xds/wire.ts";
import type { GatewayPlace } from "./manifests.ts";
import { clusterFacts, federatedService } from "./records.ts";

const REQUEST_BYTES_MAX = 8 << 20;
const TYPES = [SGDS_TYPE, FSDS_TYPE, ADDRESS_TYPE];

/** Control planes of many clusters, as far as their peers can see: lean, and each at an address of its own. */
export class PeerFarm {
  readonly peers: readonly FarmPeer[];
  readonly #certificate: ServingCertificateMaterial & { readonly root: string };
  readonly #servers: (Http2SecureServer | Server)[] = [];
  readonly #links = new Set<ServerHttp2Stream>();
  #places: readonly GatewayPlace[] = [];
  #onAnswer: () => void = () => {};

  constructor(certificate: ServingCertificateMaterial & { readonly root: string }, peers: number, services: number) {
    this.#certificate = certificate;
    this.peers = Array.from({ length: peers }, (_, at) => new FarmPeer(`peer-${at}`, services));
  }

  get places(): readonly GatewayPlace[] {
    return this.#places;
  }

  /** How many peers have sent all of their state, and have it acknowledged. */
  get live(): number {
    return this.peers.filter(({ live }) => live).length;
  }

  async listen(): Promise<void> {
    let [xdsPort, hbonePort] = [0, 0];
    const places: GatewayPlace[] = [];
    for (const [at, peer] of this.peers.entries()) {
      const address = `127.1.${at >> 8}.${at & 255}`;
      xdsPort = await this.#open(this.#discovery(peer), address, xdsPort);
      hbonePort = await this.#open(
        createServer((socket) => socket.destroy()),
        address,
        hbonePort,
      );
      places.push({ cluster: peer.cluster, address, xdsPort, hbonePort });
      peer.introduce(address, hbonePort);
    }
    this.#places = places;
  }

  /** Milliseconds from `since`, by `performance.now()`, until all peers are live. */
  async allLive(since: number): Promise<number> {
    while (this.live < this.peers.length) await new Promise<void>((resolve) => (this.#onAnswer = resolve));
    return performance.now() - since;
  }

  /** Cuts all links at once, as a network does. */
  cut(): void {
    for (const link of [...this.#links]) link.session?.destroy();
    for (const peer of this.peers) peer.left();
  }

  close(): void {
    this.cut();
    for (const server of this.#servers) server.close();
  }

  #discovery(peer: FarmPeer): Http2SecureServer {
    const { chain: cert, key, root: ca } = this.#certificate;
    const server = createSecureServer({ cert, key, ca, requestCert: true, allowHTTP1: false });
    server.on("sessionError", () => {});
    server.on("stream", (stream) => {
      stream.on("error", () => {});
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      this.#links.add(stream);
      stream.on("close", () => this.#links.delete(stream));
      peer.serve(stream, () => this.#onAnswer());
    });
    return server;
  }

  #open(server: Http2SecureServer | Server, host: string, port: number): Promise<number> {
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, () => resolve((server.address() as AddressInfo).port));
    });
  }
}

/** One cluster: what it shares, and the link by which it is asked. */
export class FarmPeer {
  readonly cluster: string;
  readonly #services = new Map<string, Resource>();
  readonly #revisions: number[] = [];
  readonly #acked = new Set<TypeUrl>();
  #facts: readonly Resource[] = [];
  #link: ServerHttp2Stream | undefined;
  #nonce = 0;
  #onAcked: (() => void) | undefined;

  constructor(cluster: string, services: number) {
    this.cluster = cluster;
    for (let at = 0; at < services; at += 1) this.#revise(at);
  }

  get live(): boolean {
    return this.#acked.size === TYPES.length;
  }

  introduce(address: string, hbonePort: number): void {
    this.#facts = [encodeClusterFacts(clusterFacts(this.cluster, address, hbonePort))];
  }

  serve(link: ServerHttp2Stream, onAnswer: () => void): void {
    this.left();
    this.#link = link;
    const reader = new MessageReader(REQUEST_BYTES_MAX);
    link.on("close", () => this.#link === link && this.left());
    link.on("data", (chunk: Buffer) => {
      for (const message of reader.push(chunk)) this.#asked(message);
      onAnswer();
    });
  }

  left(): void {
    this.#link = undefined;
    this.#acked.clear();
  }

  /** Another count of ready endpoints. @param onAcked called with how long it took until that was acknowledged. */
  change(at: number, onAcked?: (ms: number) => void): void {
    const start = performance.now();
    this.#onAcked = () => onAcked?.(performance.now() - start);
    this.#send(FSDS_TYPE, [this.#revise(at)]);
  }

  #revise(at: number): Resource {
    const revision = (this.#revisions[at] = (this.#revisions[at] ?? -1) + 1);
    const resource = encodeFederatedService(federatedService(this.cluster, at, revision), Date.now());
    this.#services.set(resource.name, resource);
    return resource;
  }

  #asked(message: Uint8Array): void {
    const { typeUrl, nonce, rejection, initialVersions } = decodeDeltaRequest(message);
    if (rejection !== undefined) throw new Error(`${this.cluster}: a response was rejected: ${rejection}`);
    if (nonce === "") this.#state(typeUrl, initialVersions);
    else if (nonce.startsWith("state")) this.#acked.add(typeUrl);
    else this.#onAcked?.();
  }

  #state(typeUrl: TypeUrl, held: ReadonlyMap<string, string>): void {
    const all = typeUrl === SGDS_TYPE ? this.#facts : typeUrl === FSDS_TYPE ? [...this.#services.values()] : [];
    const missing = all.filter(({ name, version }) => held.get(name) !== version);
    this.#send(typeUrl, [...missing, snapshotEnd("bench", Date.now())], "state");
  }

  #send(typeUrl: TypeUrl, resources: readonly Resource[], what = "change"): void {
    const records = resources.map(({ record }) => record);
    const recordsBytes = records.reduce((sum, { length }) => sum + length, 0);
    const nonce = `${what}${(this.#nonce += 1)}`;
    const response = { typeUrl, nonce, records, recordsBytes, resources: records.length, removed: [] };
    const parts = encodeDeltaResponse(response, "{}");
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.#link?.write(Buffer.concat([messagePrefix(length), ...parts]));
  }
}
