import type { Clock } from "../../src/host.ts";
import { isFields } from "../../src/kube/fields.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { CERTIFICATE_REQUESTS, CLUSTER_ISSUERS, ISSUERS } from "../../src/kube/resource-types.ts";
import { CertManagerSigner } from "./cert-manager-signer.ts";
import type { FakeApiServer } from "./fake-api-server.ts";

/** What the controller does to its API server: the fake one, or a real one. */
export interface ControlledCluster {
  requests(): Promise<readonly KubeObject[]>;
  /** Of kind Issuer or ClusterIssuer. */
  issuer(kind: string, namespace: string, name: string): Promise<KubeObject | undefined>;
  setStatus(request: KubeObject, status: object): Promise<void>;
  remove(request: KubeObject): Promise<void>;
}

export interface ControllerFaults {
  /** False: no approver is there. */
  approves: boolean;
  /** An approver's words; it denies. */
  denies: string | undefined;
  /** Each of these ends a request for good. */
  fails: string | undefined;
  invalid: string | undefined;
  /** isCA is passed over, as by Vault's role-based path. */
  signsLeaves: boolean;
  /** status.ca stays empty, as with ACME. */
  namesNoCa: boolean;
  slowMs: number;
  /** Requests go as soon as they are approved. */
  deletes: boolean;
}

const EVERY_MS = 50;

/**
 * cert-manager's part: approves CertificateRequests and signs them with real keys, with the conditions, reasons and words
 * that it documents. What its controllers take from each other over many rounds is done in two.
 */
export class CertManagerController {
  readonly faults: ControllerFaults = {
    approves: true,
    denies: undefined,
    fails: undefined,
    invalid: undefined,
    signsLeaves: false,
    namesNoCa: false,
    slowMs: 0,
    deletes: false,
  };
  /** What was signed, in order. */
  readonly signed: KubeObject[] = [];
  readonly #cluster: ControlledCluster;
  readonly #clock: Clock;
  #next: Disposable | undefined;
  #closed = false;
  #busy = false;

  constructor(
    public signer: CertManagerSigner,
    cluster: ControlledCluster,
    clock: Clock,
  ) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#later();
  }

  /** True while keys are at work, which no virtual clock knows of. */
  get busy(): boolean {
    return this.#busy;
  }

  close(): void {
    this.#closed = true;
    this.#next?.[Symbol.dispose]();
  }

  #later(): void {
    if (!this.#closed) this.#next = this.#clock.after(EVERY_MS, () => void this.#round().finally(() => this.#later()));
  }

  async #round(): Promise<void> {
    this.#busy = true;
    for (const request of await this.#cluster.requests()) {
      const next = isOver(request) ? undefined : await this.#step(request);
      if (next !== undefined) await this.#cluster.setStatus(request, next);
    }
    this.#busy = false;
  }

  /** The next status; undefined if it stays as it is. */
  async #step(request: KubeObject): Promise<object | undefined> {
    const { faults } = this;
    if (!has(request, "Approved", "True")) return this.#approval(request);
    if (faults.deletes) return void (await this.#cluster.remove(request));
    const pending = await this.#whyPending(request);
    if (pending !== undefined)
      return isPending(request, pending) ? undefined : this.#ready(request, "Pending", pending);
    if (faults.invalid !== undefined)
      return this.#with(request, this.#condition("InvalidRequest", "True", "Invalid", faults.invalid));
    if (faults.fails !== undefined)
      return { ...this.#ready(request, "Failed", faults.fails), failureTime: this.#now() };
    if (this.#clock.now() - Date.parse(request.metadata.creationTimestamp!) < faults.slowMs) return undefined;
    return this.#sign(request);
  }

  #approval(request: KubeObject): object | undefined {
    const { approves, denies } = this.faults;
    if (denies !== undefined) {
      const denied = this.#condition("Denied", "True", "policy.cert-manager.io", denies);
      const message = "The CertificateRequest was denied by an approval controller";
      const conditions = [denied, this.#condition("Ready", "False", "Denied", message)];
      return { conditions, failureTime: this.#now() };
    }
    const message = "Certificate request has been approved by cert-manager.io";
    return approves ? this.#with(request, this.#condition("Approved", "True", "cert-manager.io", message)) : undefined;
  }

  async #whyPending({ metadata, spec }: KubeObject): Promise<string | undefined> {
    const { kind, name } = (spec as { readonly issuerRef: { readonly kind: string; readonly name: string } }).issuerRef;
    const issuer = await this.#cluster.issuer(kind, metadata.namespace!, name);
    if (issuer === undefined) return `Referenced "${kind}" not found: "${name}" not found`;
    return has(issuer, "Ready", "True") ? undefined : "Referenced issuer does not have a Ready status condition";
  }

  async #sign(request: KubeObject): Promise<object> {
    const { signsLeaves, namesNoCa } = this.faults;
    try {
      const { certificate, ca } = await this.signer.sign(request, this.#clock.now(), signsLeaves);
      this.signed.push(request);
      return {
        ...this.#ready(request, "Issued", "Certificate fetched from issuer successfully"),
        certificate: base64(certificate),
        ...(!namesNoCa && { ca: base64(ca) }),
      };
    } catch (thrown) {
      const message = `Error generating certificate template: ${String(thrown)}`;
      return { ...this.#ready(request, "Failed", message), failureTime: this.#now() };
    }
  }

  #ready(request: KubeObject, reason: string, message: string): object {
    return this.#with(request, this.#condition("Ready", reason === "Issued" ? "True" : "False", reason, message));
  }

  #with(request: KubeObject, condition: { readonly type: string }): object {
    const others = conditionsOf(request).filter(({ type }) => type !== condition.type);
    return { conditions: [...others, condition] };
  }

  #condition(type: string, status: string, reason: string, message: string) {
    return { type, status, reason, message, lastTransitionTime: this.#now() };
  }

  #now(): string {
    return `${new Date(this.#clock.now()).toISOString().slice(0, 19)}Z`;
  }
}

/** On the fake API server, at once. */
export function inFake(server: FakeApiServer): ControlledCluster {
  return {
    requests: () => Promise.resolve(server.list(CERTIFICATE_REQUESTS)),
    issuer: (kind, namespace, name) =>
      Promise.resolve(
        kind === "Issuer" ? server.get(ISSUERS, namespace, name) : server.get(CLUSTER_ISSUERS, undefined, name),
      ),
    setStatus: (request, status) => {
      const now = server.get(CERTIFICATE_REQUESTS, request.metadata.namespace, request.metadata.name);
      // It may be gone, or another one, since it was read.
      if (now?.metadata.uid === request.metadata.uid) server.put({ ...now!, status });
      return Promise.resolve();
    },
    remove: (request) => Promise.resolve(server.remove(request)),
  };
}

interface ShownCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

function conditionsOf({ status }: KubeObject): readonly ShownCondition[] {
  return isFields(status) && Array.isArray(status["conditions"]) ? (status["conditions"] as ShownCondition[]) : [];
}

const has = (object: KubeObject, type: string, status: string): boolean =>
  conditionsOf(object).some((condition) => condition.type === type && condition.status === status);

const isPending = (object: KubeObject, message: string): boolean =>
  conditionsOf(object).some((condition) => condition.reason === "Pending" && condition.message === message);

const isOver = (object: KubeObject): boolean =>
  has(object, "Denied", "True") ||
  has(object, "InvalidRequest", "True") ||
  conditionsOf(object).some(({ type, reason }) => type === "Ready" && ["Issued", "Failed", "Denied"].includes(reason));

const base64 = (text: string): string => Buffer.from(text).toString("base64");
