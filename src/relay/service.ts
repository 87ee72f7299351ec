import type { Method } from "../grpc/method.ts";
import type { ServerLimits } from "../grpc/limits.ts";
import type { ListenAddress } from "../grpc/listen-error.ts";
import { GrpcServer } from "../grpc/server.ts";
import type { Host } from "../host.ts";
import { Admission } from "./admission.ts";
import type { CertificateBook } from "./client-proof.ts";
import type { RelayDesk } from "./desk.ts";
import type { TokenBook } from "./enrollment.ts";
import { Followers } from "./followers.ts";
import type { RelayAuthority } from "./relay-authority.ts";
import { RelayMetrics } from "./relay-metrics.ts";
import { RelayServing } from "./relay-serving.ts";

/** A cluster has one connection: these are for a thousand clusters, behind a few address translations. */
const RELAY_SERVER_LIMITS: Partial<ServerLimits> = {
  connectionsMax: 6_000,
  connectionsPerAddressMax: 512,
  concurrentStreamsMax: 8,
  unprovenMax: 512,
  unprovenPerAddressMax: 64,
  resetsPerSecondMax: 50,
};

export interface RelayOptions {
  readonly desk: RelayDesk;
  readonly authority: RelayAuthority;
  readonly tokens: TokenBook;
  readonly certificates: CertificateBook;
}

/** The manager's half of the relay: `methods` for a gRPC server that asks for client certificates. */
export class RelayService {
  readonly methods: readonly Method[];
  readonly #followers: Followers;

  constructor(host: Host, options: RelayOptions) {
    const metrics = new RelayMetrics(host);
    this.#followers = new Followers(host, { ...options, metrics });
    this.methods = [...new Admission(host, { ...options, metrics }).methods, this.#followers.method];
  }

  /** Before the server's own end, which tells the clusters. */
  close(): void {
    this.#followers.close();
  }
}

export interface ServedRelay {
  readonly port: number;
  close(graceMs: number): Promise<void>;
}

/**
 * Opens the relay's port. The certificate that it shows is renewed by itself.
 * @param at.names what clusters reach it by, DNS names and addresses: at least one.
 * @throws MeshError `unavailable` if the port cannot be had, naming it.
 */
export async function serveRelay(
  host: Host,
  at: ListenAddress & { readonly names: readonly string[] },
  options: RelayOptions,
): Promise<ServedRelay> {
  const service = new RelayService(host, options);
  const serving = new RelayServing(host, options.authority, at.names);
  const certificate = serving.start((renewed) => server.setCertificate(renewed));
  const { methods } = service;
  const server: GrpcServer = new GrpcServer(host, { name: "relay", methods, certificate, limits: RELAY_SERVER_LIMITS });
  const close = async (graceMs: number): Promise<void> => {
    serving.close();
    service.close();
    await server.close(graceMs);
  };
  try {
    const { port } = await server.listen(at);
    host.log.scope("trust").info("the trust manager listens for clusters", { address: at.address, port });
    return { port, close };
  } catch (thrown) {
    await close(0);
    throw thrown;
  }
}
