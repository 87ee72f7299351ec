import type { Authenticator, Caller } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { MessageChannel, MessageReceiver, StreamMethod } from "../grpc/method.ts";
import type { ClientBehind } from "../change-watch.ts";
import type { Host } from "../host.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { ClientSession, type Guest, type SessionSurroundings } from "./client-session.ts";
import type { ClientStatus } from "./client-status.ts";
import type { StreamLimits } from "./client-stream.ts";
import { type DebugAnswers, DebugResponder, isDebugType } from "./debug-type.ts";
import type { GatewayGate } from "./gateway-gate.ts";
import type { PeerGate } from "./peer-gate.ts";
import { Pump } from "./pump.ts";
import type { Holding, TypeUrl } from "./resource.ts";
import type { ResourceLog } from "./resource-log.ts";
import { decodeDiscoveryRequest, encodeDebugAnswer } from "./wire.ts";
import { type PushTrigger, XdsMetrics } from "./xds-metrics.ts";

const SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService";

/**
 * A client that names all it holds sends some 100 bytes for each: 100,000 workloads are 10 MB, beyond the 4 MiB that
 * istiod takes (contract ztunnel.md 1.1).
 */
const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
const DEBUG_REQUEST_BYTES_MAX = 64 * 1024;

export interface XdsServerOptions {
  readonly logs: ReadonlyMap<TypeUrl, ResourceLog>;
  readonly debug: Omit<DebugAnswers, "clients">;
  /** What istioctl shows as the control plane: JSON with Component, ID and Info.version. */
  readonly controlPlane: string;
  readonly limits?: Partial<StreamLimits>;
}

/** Who may connect to one port. */
export interface Admission {
  readonly authenticator: Authenticator;
  /** Why a caller may not see the mesh; undefined if it may. */
  whyNot(caller: Caller): string | undefined;
  /** Lets other control planes in; without it they are callers like any other. */
  readonly peers?: PeerGate;
  /** Lets proxies of Gateways in, who need not see the mesh; without it there are none. */
  readonly gateways?: GatewayGate;
}

/** The discovery service: one session for each stream, all fed from the same logs. It opens no socket itself. */
export class XdsServer {
  readonly #host: Host;
  readonly #sessions = new Set<ClientSession>();
  readonly #pump: Pump<ClientSession>;
  readonly #shared: SessionSurroundings;
  #streams = 0;

  constructor(host: Host, options: XdsServerOptions) {
    this.#host = host;
    this.#pump = new Pump(host.clock, (session) => session.serve());
    this.#shared = {
      host,
      logs: options.logs,
      metrics: new XdsMetrics(host.metrics),
      debug: { ...options.debug, page: (name) => options.debug.page(name), clients: () => this.clients() },
      controlPlane: options.controlPlane,
      limits: options.limits ?? {},
      wake: (session) => this.#pump.add(session),
      left: (session) => {
        this.#sessions.delete(session);
        this.#pump.remove(session);
      },
    };
  }

  /** The methods for one port. Without `admission` nobody proves anything, as on the plaintext port. */
  methods(admission: Admission | undefined): readonly StreamMethod[] {
    return [
      {
        kind: "stream",
        path: `${SERVICE}/DeltaAggregatedResources`,
        requestBytesMax: REQUEST_BYTES_MAX,
        open: async (channel) => this.#openDelta(channel, await this.#admit(channel, admission)),
      },
      {
        kind: "stream",
        path: `${SERVICE}/StreamAggregatedResources`,
        requestBytesMax: DEBUG_REQUEST_BYTES_MAX,
        open: async (channel) => {
          // Another cluster's control plane may have a name that is one of ours, too.
          if (admission?.peers?.recognise(channel.credentials) !== undefined)
            throw new MeshError("denied", "debug pages are not for control planes", { reason: "NotForPeers" });
          return this.#openDebug(channel, await admission?.authenticator.authenticate(channel.credentials));
        },
      },
    ];
  }

  /** Says that the logs have changed, and which; clients are told as soon as they can take it. */
  changed(...triggers: readonly PushTrigger[]): void {
    for (const trigger of triggers) this.#shared.metrics.triggered(trigger);
    for (const session of this.#sessions) session.changed();
  }

  /** Who is to be told something, as the logs are now. */
  *behind(): Iterable<ClientBehind> {
    for (const session of this.#sessions) yield* session.behind();
  }

  clients(): readonly ClientStatus[] {
    return [...this.#sessions].map((session) => session.status());
  }

  /** What a client holds of each type that it asked for; undefined if it is gone. */
  holdings(client: string): ReadonlyMap<TypeUrl, Iterable<Holding>> | undefined {
    return [...this.#sessions].find(({ id }) => id === client)?.holdings();
  }

  close(): void {
    this.#pump.close();
  }

  async #admit(channel: MessageChannel, admission: Admission | undefined): Promise<Guest> {
    if (admission === undefined) return { caller: undefined };
    const gate = admission.peers;
    const proof = gate?.recognise(channel.credentials);
    if (gate !== undefined && proof !== undefined) return { peer: { gate, proof } };
    const caller = await admission.authenticator.authenticate(channel.credentials).catch((thrown: unknown) => {
      this.#refuse(channel, thrown, "unauthenticated");
      throw thrown;
    });
    const { gateways } = admission;
    const why = admission.whyNot(caller);
    if (why === undefined) return { caller, gateways };
    const error = new MeshError("denied", `${formatServiceAccountId(caller.identity)} may not read the mesh: ${why}`);
    // Whether it is a Gateway's proxy, its first request tells.
    if (gateways !== undefined) return { caller, gateways, barred: error };
    this.#refuse(channel, error, "denied");
    throw error;
  }

  #refuse(channel: MessageChannel, thrown: unknown, reason: string): void {
    this.#shared.metrics.shed(reason);
    const { remoteAddress: address, clusterId } = channel.credentials;
    this.#host.log.scope("delta").warn("client refused", {
      address,
      clusterId: clusterId?.slice(0, 128),
      why: MeshError.from(thrown).message,
    });
  }

  #openDelta(channel: MessageChannel, guest: Guest): MessageReceiver {
    // ztunnel says "Stream established" once it has them.
    channel.sendHeaders();
    const session = new ClientSession(`${(this.#streams += 1)}`, channel, guest, this.#shared);
    this.#sessions.add(session);
    return session;
  }

  /** The state-of-the-world method, only for istioctl's debug types. */
  #openDebug(channel: MessageChannel, caller: Caller | undefined): MessageReceiver {
    const { debug, controlPlane } = this.#shared;
    const responder = new DebugResponder(debug, caller);
    const answer = async (bytes: Uint8Array): Promise<void> => {
      const request = decodeDiscoveryRequest(bytes);
      if (!isDebugType(request.typeUrl)) {
        const message = "only debug types are served in state-of-the-world form; use DeltaAggregatedResources";
        throw new MeshError("absent", message);
      }
      const answered = await responder.answer(request);
      if (answered !== undefined) channel.send([encodeDebugAnswer(answered, controlPlane)]);
    };
    return {
      message: (bytes) => void answer(bytes).catch((thrown: unknown) => channel.end(MeshError.from(thrown))),
      writable: () => {},
      closed: () => {},
    };
  }
}
