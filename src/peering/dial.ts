import { isIPv6 } from "node:net";
import {
  checkServerIdentity,
  createSecureContext,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type SecureContext,
} from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { toPem } from "../pem.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Trust } from "../trust.ts";
import type { DeltaRequest } from "../xds/resource.ts";
import { decodeDeltaResponse, encodeDeltaRequest } from "../xds/wire.ts";
import { failureOf, reasonUnproven } from "./dial-failure.ts";
import type { PeerTarget } from "./peer.ts";
import type { LinkFailure, LinkReceiver, LinkStream, LinkTransport } from "./transport.ts";

const METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/** Control planes send each other half of this and one record at once; more would hold up everybody while it is read. */
const RESPONSE_BYTES_MAX = 8 * 1024 * 1024;
/** As many names as fit into such a response, if they are as short as names are. */
const RESPONSE_ENTRIES_MAX = 500_000;
/** A peer that is frozen, or behind a black hole, is found out within 30 s (contract operations.md 3.4, fault 11). */
const KEEPALIVE = { pingMs: 20_000, pongMs: 10_000 };
/** How far ahead a timer may be set; certificates that live longer are looked at again. */
const LOOK_MS = 86_400_000;

/** What we show, in PEM. */
export interface ClientMaterial {
  /** Leaf first. */
  readonly chain: string;
  readonly key: string;
}

export interface GrpcLinksOptions {
  readonly trust: Pick<Trust, "verify" | "rootsOf" | "pooledRoots">;
  /** Asked anew for each stream, so that a renewed certificate is shown by the next; undefined until there is one. */
  readonly material: () => ClientMaterial | undefined;
  readonly cluster: ClusterId;
  readonly systemNamespace: string;
  /** Whom a control plane may prove to be, as `istio-system/istiod`, within its own trust domain. */
  readonly accounts: ReadonlySet<string>;
  /** How often an idle peer is asked whether it is there, and how long it has to answer; 20 s and 10 s unless given. */
  readonly keepalive?: { readonly pingMs: number; readonly pongMs: number };
  /** True if the DNS name `istiod.<system namespace>.svc` is enough for a certificate that names no identity. */
  readonly dnsNameSuffices: boolean;
}

/** What we show and trust, read by OpenSSL once for all links: that is 3 ms of the processor, and its memory. */
class SharedContext {
  #from: readonly string[] = [];
  #context: SecureContext | undefined;

  /** @param roots PEM of whatever may be at the end of a chain; whose it is, is looked at after the handshake. */
  of(roots: string, { chain, key }: ClientMaterial): SecureContext {
    const from = [roots, chain, key];
    if (this.#context === undefined || from.some((text, at) => text !== this.#from[at]))
      this.#context = createSecureContext({ ca: roots, cert: chain, key });
    this.#from = from;
    return this.#context;
  }
}

/** ⇄ Carries links over gRPC with mutual TLS (contract peering.md 2.3). */
export class GrpcLinks implements LinkTransport {
  readonly #host: Host;
  readonly #options: GrpcLinksOptions;
  readonly #context = new SharedContext();
  readonly #open = new Set<GrpcStream>();

  constructor(host: Host, options: GrpcLinksOptions) {
    this.#host = host;
    this.#options = options;
  }

  open(target: PeerTarget, ip: string, receiver: LinkReceiver): LinkStream {
    const left = (): boolean => this.#open.delete(stream);
    const stream: GrpcStream = new GrpcStream(this.#host, this.#options, this.#context, target, ip, receiver, left);
    this.#open.add(stream);
    return stream;
  }

  /** After roots or revocations changed: a stream whose peer proves nobody any more ends. */
  recheck(): void {
    for (const stream of [...this.#open]) stream.recheck();
  }
}

class GrpcStream implements LinkStream {
  readonly #host: Host;
  readonly #options: GrpcLinksOptions;
  readonly #context: SharedContext;
  readonly #target: PeerTarget;
  readonly #where: string;
  readonly #receiver: LinkReceiver;
  readonly #left: () => void;
  #channel: grpc.Client | undefined;
  #call: grpc.ClientDuplexStream<Buffer, Buffer> | undefined;
  /** What the peer showed, in DER. */
  #shown: readonly Uint8Array[] | undefined;
  /** Why it proved nobody: grpc-js only keeps the words. */
  #refusal: LinkFailure | undefined;
  #expiry: Disposable | undefined;
  #done = false;

  constructor(
    host: Host,
    options: GrpcLinksOptions,
    context: SharedContext,
    target: PeerTarget,
    ip: string,
    receiver: LinkReceiver,
    left: () => void,
  ) {
    this.#host = host;
    this.#options = options;
    this.#context = context;
    this.#target = target;
    this.#where = `${ip} port ${target.xdsPort}`;
    this.#receiver = receiver;
    this.#left = left;
    const material = options.material();
    const failure = this.#whyNotDial(material);
    if (failure !== undefined || material === undefined) {
      // Never before the constructor has returned.
      this.#expiry = host.clock.after(0, () => this.#end(failure!));
      return;
    }
    this.#dial(material, `${isIPv6(ip) ? `ipv6:[${ip}]` : `ipv4:${ip}`}:${target.xdsPort}`);
  }

  send(request: DeltaRequest): void {
    if (!this.#done) this.#call?.write(Buffer.from(encodeDeltaRequest(request)));
  }
  pause(): void {
    this.#call?.pause();
  }
  resume(): void {
    if (!this.#done) this.#call?.resume();
  }

  close(): void {
    if (this.#done) return;
    this.#done = true;
    this.#expiry?.[Symbol.dispose]();
    this.#call?.cancel();
    this.#channel?.close();
    this.#left();
  }

  recheck(): void {
    const refusal = this.#shown && this.#whyNot(this.#shown);
    if (refusal !== undefined) this.#end(refusal);
  }

  #whyNotDial(material: ClientMaterial | undefined): LinkFailure | undefined {
    const { trustDomain, cluster } = this.#target;
    if (material === undefined)
      return { reason: "Disconnected", message: "we have no certificate to show yet; see readiness of certificates" };
    if (this.#options.trust.rootsOf(trustDomain).length > 0) return undefined;
    const message = `no root is trusted for trust domain ${trustDomain} of ${cluster}; name one in caCertificates of the mesh config`;
    return { reason: "TrustDomainUnknown", message };
  }

  #dial(material: ClientMaterial, address: string): void {
    const { trust, systemNamespace, cluster, keepalive = KEEPALIVE } = this.#options;
    const roots = trust.pooledRoots.map((root) => toPem("CERTIFICATE", root)).join("");
    const name = `istiod.${systemNamespace}.svc`;
    const credentials = grpc.credentials.createFromSecureContext(this.#context.of(roots, material), {
      checkServerIdentity: (_, certificate) => this.#check(name, certificate),
    });
    const channel = (this.#channel = new grpc.Client(address, credentials, {
      "grpc.ssl_target_name_override": name,
      "grpc.default_authority": name,
      "grpc.keepalive_time_ms": keepalive.pingMs,
      "grpc.keepalive_timeout_ms": keepalive.pongMs,
      "grpc.max_receive_message_length": RESPONSE_BYTES_MAX,
      "grpc.max_send_message_length": -1,
      // One target, one connection, one stream: no other link's, and no retries beyond ours.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
    }));
    const metadata = new grpc.Metadata();
    metadata.set("clusterid", cluster);
    const same = (bytes: Buffer): Buffer => bytes;
    const call = (this.#call = channel.makeBidiStreamRequest<Buffer, Buffer>(METHOD, same, same, metadata));
    call.on("metadata", () => this.#done || this.#receiver.connected());
    call.on("data", (bytes: Buffer) => this.#received(bytes));
    call.on("error", (error: grpc.ServiceError) =>
      this.#end(this.#refusal ?? failureOf(error.code, error.details, this.#where, wordOf(error))),
    );
    call.on("end", () => this.#end({ reason: "Disconnected", message: `${this.#where} ended the stream` }));
  }

  #received(bytes: Buffer): void {
    if (this.#done) return;
    try {
      const update = decodeDeltaResponse(bytes, RESPONSE_ENTRIES_MAX);
      if (update.traceparents !== undefined) this.#host.changes?.heard(this.#target.cluster, update.traceparents);
      this.#receiver.received(update, bytes.byteLength);
    } catch (thrown) {
      this.#end({ reason: "VersionSkew", message: `${this.#where} does not speak our protocol: ${messageOf(thrown)}` });
    }
  }

  /** TLS has verified the chain to some root; whose, and to whom it belongs, is for us to say. */
  #check(name: string, certificate: PeerCertificate): Error | undefined {
    if (this.#done) return new Error("nobody waits for this handshake any more");
    const chain = chainOf(certificate);
    this.#refusal = this.#whyNot(chain);
    if (
      this.#refusal !== undefined &&
      this.#options.dnsNameSuffices &&
      certificate.subjectaltname?.includes("URI:") !== true
    )
      if (checkServerIdentity(name, certificate) === undefined) this.#refusal = undefined;
    if (this.#refusal === undefined) this.#shown = chain;
    return this.#refusal && new Error(this.#refusal.message);
  }

  #whyNot(chain: readonly Uint8Array[]): LinkFailure | undefined {
    const { trust, accounts } = this.#options;
    const { cluster, trustDomain } = this.#target;
    try {
      const { identity, expiresAt } = trust.verify(chain, "server", this.#host.clock.now());
      const account = `${identity.namespace}/${identity.serviceAccount}`;
      if (identity.trustDomain !== trustDomain || !accounts.has(account)) {
        const right = [...accounts].map((known) => `spiffe://${trustDomain}/ns/${known.replace("/", "/sa/")}`);
        const message = `${this.#where} is ${formatServiceAccountId(identity)}, and ${cluster} must be ${right.join(" or ")}`;
        return { reason: "IdentityMismatch", message };
      }
      this.#watch(expiresAt);
      return undefined;
    } catch (thrown) {
      return this.#unproven(messageOf(thrown));
    }
  }

  #unproven(why: string): LinkFailure {
    const reason = reasonUnproven(why);
    const message = `${this.#where}: ${why}`;
    if (reason !== "TrustDomainUnknown") return { reason, message };
    const { cluster, trustDomain } = this.#target;
    const expected = `annotation gateway.istio.io/trust-domain of the Gateway to ${cluster}, or our own, is ${trustDomain}`;
    return { reason, message: `${message}; ${expected}` };
  }

  /** A peer is believed for as long as its certificate is. */
  #watch(expiresAt: number): void {
    this.#expiry?.[Symbol.dispose]();
    const leftMs = Math.max(0, expiresAt - this.#host.clock.now());
    this.#expiry = this.#host.clock.after(Math.min(leftMs, LOOK_MS), () => this.recheck());
  }

  #end(failure: LinkFailure): void {
    if (this.#done) return;
    this.close();
    this.#receiver.ended(failure);
  }
}

/** Beside the status, in trailers of our own servers. */
function wordOf({ metadata }: grpc.ServiceError): string | undefined {
  return metadata.get("causeway-reason")[0]?.toString();
}

/** Leaf first; the last one is often its own issuer. */
function chainOf(certificate: PeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: DetailedPeerCertificate | undefined = certificate as DetailedPeerCertificate;
  while (next?.raw !== undefined && chain.length < 16) {
    const { raw }: DetailedPeerCertificate = next;
    if (chain.some((known) => Buffer.compare(known, raw) === 0)) break;
    chain.push(raw);
    next = next.issuerCertificate;
  }
  return chain;
}
