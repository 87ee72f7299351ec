import { MeshError } from "../../errors.ts";
import type { EpochMs, Host } from "../../host.ts";
import { ApiError, type KubeApi, pathOf } from "../../kube/api.ts";
import type { KubeObject } from "../../kube/object.ts";
import { createObject } from "../../kube/objects-api.ts";
import { CERTIFICATE_REQUESTS } from "../../kube/resource-types.ts";
import { FollowedObjects } from "./followed-objects.ts";
import type { IssuedPems } from "./issued-chain.ts";
import { absentGroup, refusedCall } from "./refused-call.ts";
import { type RequestState, requestState } from "./request-state.ts";
import {
  asksFor,
  type CertManagerSpec,
  isRivalOf,
  PURPOSE_LABEL,
  requestObject,
  type WantedRequest,
} from "./wanted-request.ts";

const VERSION = "v1";
/** What failed, or was no good request, is asked anew after so long: somebody may have mended the issuer. */
const AGAIN_MS = 300_000;

/** Clocks differ: what seems to be of the future is no news. */
export const isLongAgo = ({ clock }: Host, at: EpochMs): boolean => Math.abs(clock.now() - at) >= AGAIN_MS;

export interface Issued extends IssuedPems {
  /** As `CertificateRequest gloo-mesh/causeway-east-0123456789abcdef`. */
  readonly title: string;
  readonly uid: string | undefined;
  /** When the request was made; 0 if its API server does not say. */
  readonly madeAt: EpochMs;
}

/** Our CertificateRequests: made, waited for, and deleted when they are of no more use. */
export class CertificateRequests {
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #spec: CertManagerSpec;
  readonly #followed: FollowedObjects;

  constructor(host: Host, api: KubeApi, spec: CertManagerSpec) {
    this.#host = host;
    this.#api = api;
    this.#spec = spec;
    this.#followed = new FollowedObjects(host, api, {
      type: CERTIFICATE_REQUESTS,
      namespace: spec.namespace,
      labelSelector: PURPOSE_LABEL,
      purpose: "intermediates that cert-manager signs",
    });
  }

  start(): void {
    this.#followed.start();
  }

  close(): Promise<void> {
    return this.#followed.close();
  }

  #titleOf(name: string): string {
    return `CertificateRequest ${this.#spec.namespace}/${name}`;
  }

  /**
   * What cert-manager issues for `wanted`: to a request that is there under its name, or else to a new one.
   * @param spent whether what such a request was issued is of no more use, so that it is to be asked anew.
   * @param over ends the wait, not the request: who asks again finds it as far as it came.
   * @throws MeshError `unavailable` with what it waits for, `denied` by an approver or the issuer; `absent` or `invalid`
   *   if CertificateRequests cannot be made or read.
   */
  async obtain(wanted: WantedRequest, spent: (issued: Issued) => boolean, over: AbortSignal): Promise<Issued> {
    await this.#readable(over);
    const found = this.#found(wanted);
    const kept = found !== undefined && !this.#isSpent(found, spent);
    if (found !== undefined && !kept) await this.#delete(found, over);
    const uid = kept ? found.metadata.uid : await this.#create(wanted, over);
    // What was just deleted is seen for a while.
    const isIt = ({ metadata }: KubeObject): boolean =>
      uid === undefined ? metadata.uid !== found?.metadata.uid : metadata.uid === uid;
    return this.#settled(wanted, isIt, over);
  }

  /** Deletes the older ones of the same purpose and cluster. @throws MeshError if one cannot be. */
  async deleteRivals(wanted: WantedRequest, signal: AbortSignal): Promise<void> {
    const bornAt = birthOf(this.#followed.get(wanted.name));
    for (const other of this.#followed.values())
      if (isRivalOf(other, wanted) && birthOf(other) <= bornAt) await this.#delete(other, signal);
  }

  async #readable(over: AbortSignal): Promise<void> {
    for (;;) {
      const { phase, synced, problem } = this.#followed.state;
      if (phase === "absent") throw absentGroup(this.#api.server);
      if (phase === "forbidden") throw refusedCall(`the CertificateRequests in ${this.#spec.namespace}`, problem ?? "");
      if (synced) return;
      if (over.aborted)
        throw new MeshError(
          "unavailable",
          `the CertificateRequests in ${this.#spec.namespace} cannot be read: ${problem ?? "the API server has not answered yet"}`,
        );
      await this.#followed.changed(over);
    }
  }

  #found(wanted: WantedRequest): KubeObject | undefined {
    const object = this.#followed.get(wanted.name);
    // A probe's key is of no use to anybody, so another process's is as good.
    if (object === undefined || !wanted.ca || asksFor(object, wanted.csr)) return object;
    throw new MeshError("invalid", `${this.#titleOf(wanted.name)} asks for another key than the cluster's; delete it`);
  }

  #isSpent(object: KubeObject, spent: (issued: Issued) => boolean): boolean {
    const state = requestState(object);
    if (state.is === "issued") return spent(this.#issued(object, state));
    if (state.is !== "failed" && state.is !== "invalid") return false;
    return isLongAgo(this.#host, state.at ?? 0);
  }

  /** @returns its uid; undefined if somebody has just made it. */
  async #create(wanted: WantedRequest, over: AbortSignal): Promise<string | undefined> {
    const { namespace } = this.#spec;
    const at = { type: CERTIFICATE_REQUESTS, version: VERSION, namespace };
    try {
      const made = await createObject(this.#api, at, requestObject(this.#spec, wanted), over);
      return made.metadata.uid;
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status === 409) return undefined;
      throw refusedCreation(this.#titleOf(wanted.name), thrown);
    }
  }

  async #delete({ metadata: { name, uid } }: KubeObject, signal: AbortSignal): Promise<void> {
    const path = pathOf(CERTIFICATE_REQUESTS, VERSION, this.#spec.namespace, name);
    const body = { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid } };
    try {
      await this.#api.call({ method: "DELETE", path, body }, signal);
    } catch (thrown) {
      // Gone, or made anew by somebody.
      if (thrown instanceof ApiError && [404, 409].includes(thrown.status)) return;
      if (thrown instanceof ApiError && thrown.status === 403) throw refusedCall(this.#titleOf(name), thrown.message);
      throw thrown;
    }
  }

  async #settled(wanted: WantedRequest, isIt: (object: KubeObject) => boolean, over: AbortSignal): Promise<Issued> {
    const title = this.#titleOf(wanted.name);
    for (let seen = false; ;) {
      const object = this.#followed.get(wanted.name);
      const ours = object !== undefined && isIt(object) ? object : undefined;
      if (seen && ours === undefined)
        throw new MeshError(
          "unavailable",
          `${title} was deleted before it was issued; it is made anew when asked again`,
        );
      seen = ours !== undefined;
      const state = ours && requestState(ours);
      if (state?.is === "issued") return this.#issued(ours!, state);
      if (state !== undefined && state.is !== "waiting") throw refusal(title, state);
      if (over.aborted)
        throw new MeshError("unavailable", `${title} ${state?.why ?? this.#unseen()}`, { waits: state !== undefined });
      await this.#followed.changed(over);
    }
  }

  #issued({ metadata: { name, uid, creationTimestamp = "" } }: KubeObject, { certificate, ca }: IssuedPems): Issued {
    return { certificate, ca, title: this.#titleOf(name), uid, madeAt: Date.parse(creationTimestamp) || 0 };
  }

  #unseen(): string {
    const { problem } = this.#followed.state;
    return problem === undefined
      ? `is not among those with the label ${PURPOSE_LABEL}; if somebody else made it, delete it`
      : `cannot be read: ${problem}`;
  }
}

function refusal(title: string, { is, why }: Exclude<RequestState, { readonly is: "issued" | "waiting" }>): MeshError {
  const what = {
    denied: `was denied: ${why}; have the approver's policy allow it, then delete it, and it is asked anew`,
    invalid: `is refused by its issuer as invalid: ${why}; what is mended there shows within ${AGAIN_MS / 60_000} minutes`,
    failed: `has failed: ${why}; mend its issuer, it is asked anew within ${AGAIN_MS / 60_000} minutes`,
  };
  return new MeshError("denied", `${title} ${what[is]}`);
}

function refusedCreation(title: string, thrown: unknown): MeshError {
  if (!(thrown instanceof ApiError)) return MeshError.from(thrown);
  if (thrown.status === 403) return refusedCall(title, thrown.message);
  if (thrown.status === 404)
    return new MeshError(
      "absent",
      `${title} cannot be made, as cert-manager or the namespace is missing: ${thrown.message}`,
    );
  if (thrown.status === 400 || thrown.status === 422)
    return new MeshError("invalid", `${title} is refused by its API server: ${thrown.message}`);
  return thrown;
}

const birthOf = (object: KubeObject | undefined): string => object?.metadata.creationTimestamp ?? "";
