import { createSecureContext } from "node:tls";
import { isIP, isIPv6 } from "node:net";
import * as grpc from "@grpc/grpc-js";
import type { Clock } from "../host.ts";
import type { SpireAddress } from "../spire-config.ts";
import { ownProof, type OwnProof } from "./own-proof.ts";
import { whyNotIdentity } from "./shown-identity.ts";
import { socketFile } from "./socket-file.ts";
import { type AgentSvids, serverIdOf } from "./spire.ts";

/** A page of 500 entries with many selectors each is far below. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** Tried again this often while nobody answers: soon after a restart of the server, its callers are served again. */
const RECONNECT = { firstMs: 200, longestMs: 2_000 };

export interface ServerTarget {
  readonly address: SpireAddress;
  /** The server's. */
  readonly trustDomain: string;
  /** What SPIRE's agent last said of us; over TCP our SVID is shown. */
  readonly ownSvid?: () => AgentSvids | undefined;
}

/** One connection to the server. It closes once it is retired and its last call has ended: none is lost. */
export class ServerChannel {
  readonly client: grpc.Client;
  /** What the server takes us for; undefined over its socket. */
  readonly spiffeId: string | undefined;
  #calls = 0;
  #retired = false;

  constructor(address: SpireAddress, trustDomain: string, proof: OwnProof | undefined) {
    this.spiffeId = proof?.spiffeId;
    this.client = new grpc.Client(targetOf(address), this.#credentials(trustDomain, proof), optionsOf(address));
  }

  /** A call that begins on it, until the result is disposed. */
  begin(): Disposable {
    this.#calls += 1;
    return {
      [Symbol.dispose]: () => {
        this.#calls -= 1;
        this.#closeIfDone();
      },
    };
  }

  retire(): void {
    this.#retired = true;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#retired && this.#calls === 0) this.client.close();
  }

  #credentials(trustDomain: string, proof: OwnProof | undefined): grpc.ChannelCredentials {
    if (proof === undefined) return grpc.credentials.createInsecure();
    // All that SPIRE publishes are trust anchors, the authority between a leaf and an upstream root, too.
    const context = createSecureContext({
      ca: proof.roots,
      cert: proof.chain,
      key: proof.key,
      minVersion: "TLSv1.2",
      allowPartialTrustChain: true,
    });
    return grpc.credentials.createFromSecureContext(context, {
      checkServerIdentity: (_, certificate) => whyNotIdentity(certificate, serverIdOf(trustDomain)),
    });
  }
}

/** Which channel to use now: another one for each SVID of ours and each socket of the server's. */
export class ServerChannels {
  readonly #clock: Clock;
  readonly #target: ServerTarget;
  #current: { readonly channel: ServerChannel; readonly key: string | undefined } | undefined;
  #proven: { readonly said: AgentSvids | undefined; readonly proof: OwnProof } | undefined;

  constructor(clock: Clock, target: ServerTarget) {
    this.#clock = clock;
    this.#target = target;
  }

  /** @throws MeshError `unavailable` if our own SVID is missing, has ended or leads nowhere. */
  current(): ServerChannel {
    const { address, trustDomain } = this.#target;
    const proof = address.kind === "tcp" ? this.#proof() : undefined;
    const key = address.kind === "tcp" ? proof?.digest : (socketFile(address.path) ?? this.#current?.key);
    if (this.#current !== undefined && this.#current.key === key) return this.#current.channel;
    const channel = new ServerChannel(address, trustDomain, proof);
    this.retire();
    this.#current = { channel, key };
    return channel;
  }

  /** The next call gets another channel; those that are under way end on theirs. */
  retire(channel = this.#current?.channel): void {
    if (channel === undefined || channel !== this.#current?.channel) return;
    channel.retire();
    this.#current = undefined;
  }

  #proof(): OwnProof {
    const said = this.#target.ownSvid?.();
    const now = this.#clock.now();
    const known = this.#proven;
    if (known !== undefined && known.said === said && known.proof.expiresAt > now) return known.proof;
    const proof = ownProof(said, this.#target.trustDomain, now);
    this.#proven = { said, proof };
    return proof;
  }
}

function targetOf(address: SpireAddress): string {
  if (address.kind === "socket") return `unix:${address.path}`;
  return `dns:${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}

function optionsOf(address: SpireAddress): grpc.ChannelOptions {
  // An IP address is no server name in TLS (RFC 6066 3).
  const unnamed = address.kind === "tcp" && isIP(address.host) !== 0;
  return {
    ...(unnamed && { "grpc.ssl_target_name_override": "spire-server", "grpc.default_authority": "spire-server" }),
    "grpc.max_receive_message_length": ANSWER_BYTES_MAX,
    "grpc.max_send_message_length": -1,
    "grpc.initial_reconnect_backoff_ms": RECONNECT.firstMs,
    "grpc.max_reconnect_backoff_ms": RECONNECT.longestMs,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
  };
}

/** As in messages. */
export function serverName(address: SpireAddress): string {
  return `SPIRE's server at ${address.kind === "socket" ? `unix:${address.path}` : `${address.host}:${address.port}`}`;
}
