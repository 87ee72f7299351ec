import assert from "node:assert/strict";
import { istio } from "../../../proto/gen/mesh.js";
import type { DeltaUpdate } from "../../../src/xds/delta-client.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type DeltaRequest, type TypeUrl } from "../../../src/xds/resource.ts";
import { decodeDeltaResponse, encodeDeltaRequest } from "../../../src/xds/wire.ts";
import type { Named } from "../mesh.ts";
import { ModelZtunnel } from "../model-ztunnel.ts";
import type { SeededRandom, VirtualClock } from "../world.ts";
import type { Party } from "./net.ts";
import type { OpenStream, Plane } from "./plane.ts";

const { Address, WorkloadStatus, LoadBalancing } = istio.workload;

export interface HeldService {
  readonly kind: "service";
  readonly allowAll: boolean;
  readonly bad?: boolean;
  readonly said: istio.workload.IService;
}
export interface HeldWorkload {
  readonly kind: "workload";
  readonly healthy: boolean;
  readonly services: readonly string[];
  readonly policies: readonly string[];
  readonly revision: number;
  readonly bad?: boolean;
  readonly said: istio.workload.IWorkload;
}
type HeldPolicy = { readonly kind: "policy"; readonly bad?: boolean };
type Held = HeldService | HeldWorkload | HeldPolicy;

export interface ClientOptions {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  /** The process that takes clients now, if one does. */
  readonly plane: () => Plane | undefined;
  /** True while it may answer late, never, or that it takes nothing. */
  readonly faulty: () => boolean;
  /** Called after each response that it took. */
  readonly took: () => void;
}

/** A ztunnel of one cluster, and the stream that it has at the moment. */
export class Client implements Party {
  readonly frozen = false;
  readonly state = new ModelZtunnel<HeldService, HeldWorkload, HeldPolicy>(true);
  readonly #options: ClientOptions;
  #stream: OpenStream | undefined;
  #connection = 0;
  /** On this stream no answer is sent any more. */
  #silent = false;
  responses = 0;
  rejections = 0;

  constructor(
    readonly site: string,
    options: ClientOptions,
  ) {
    this.#options = options;
    this.#connect();
  }

  run(task: () => void): void {
    task();
  }

  /** As if the connection had been lost. */
  reconnect(): void {
    this.#stream?.close();
    this.#lost();
  }

  #lost(): void {
    this.#stream = undefined;
    const connection = ++this.#connection;
    const { clock, random } = this.#options;
    clock.after(10 + random.below(500), () => connection === this.#connection && this.#connect());
  }

  #connect(): void {
    const plane = this.#options.plane();
    if (plane === undefined) return this.#lost();
    const connection = ++this.#connection;
    const current = (): boolean => connection === this.#connection;
    this.#silent = this.#options.faulty() && this.#options.random.chance(0.15);
    this.#stream = plane.take(this, undefined, {
      connected: () => {},
      received: (bytes) => current() && this.#take(decodeDeltaResponse(bytes)),
      ended: () => current() && this.#lost(),
    });
    for (const typeUrl of [ADDRESS_TYPE, AUTHORIZATION_TYPE])
      this.#send({ typeUrl, node: NODE, initialVersions: new Map(this.state.versions(typeUrl)) });
  }

  #take(update: DeltaUpdate): void {
    this.responses += 1;
    const { typeUrl, nonce, resources, removed } = update;
    const { random, faulty, clock } = this.#options;
    const picky = faulty() && random.chance(0.03);
    const named = resources.map(({ name, version, body }): Named<Held> => {
      const value = typeUrl === ADDRESS_TYPE ? heldOf(body) : ({ kind: "policy" } as const);
      return { name, version, value: picky && random.chance(0.3) ? { ...value, bad: true } : value };
    });
    const rejection = this.state.take(typeUrl, named, removed);
    if (rejection !== undefined) this.rejections += 1;
    this.#options.took();
    if (this.#silent) return;
    const connection = this.#connection;
    const late = faulty() && random.chance(0.1) ? random.below(20_000) : 0;
    clock.after(late, () => connection === this.#connection && this.#send({ typeUrl, nonce, rejection }));
  }

  #send(part: Partial<DeltaRequest> & { readonly typeUrl: TypeUrl }): void {
    const empty = { node: undefined, subscribe: [], unsubscribe: [], nonce: "", rejection: undefined };
    this.#stream?.write(encodeDeltaRequest({ ...empty, initialVersions: new Map<string, string>(), ...part }));
  }
}

const NODE = {
  id: "ztunnel~10.0.0.9~ztunnel-1.istio-system~istio-system.svc.cluster.local",
  metadata: new Map([["NODE_NAME", "n1"]]),
};

function heldOf(body: Uint8Array): HeldService | HeldWorkload {
  const { workload, service } = Address.decode(body);
  if (service) {
    const allowAll = service.loadBalancing?.healthPolicy === LoadBalancing.HealthPolicy.ALLOW_ALL;
    return { kind: "service", allowAll, said: service };
  }
  assert(workload, "an Address is neither a workload nor a service");
  return {
    kind: "workload",
    healthy: workload.status !== WorkloadStatus.UNHEALTHY,
    services: Object.keys(workload.services ?? {}),
    policies: workload.authorizationPolicies ?? [],
    revision: 0,
    said: workload,
  };
}
