import assert from "node:assert/strict";
import { ADDRESS_TYPE, type DeltaResponse, type TypeUrl } from "../../src/xds/resource.ts";
import { decode, type Named, type SentPolicy, type SentService, type SentWorkload } from "./mesh.ts";

/** What the model reads of each; the rest is for who looks at what it holds. */
type AnyService = Pick<SentService, "kind" | "allowAll" | "bad">;
type AnyWorkload = Pick<SentWorkload, "kind" | "healthy" | "services" | "policies" | "revision" | "bad">;
type AnyPolicy = Pick<SentPolicy, "kind" | "bad">;

interface HeldService<S> {
  readonly sent: Named<S>;
  readonly endpoints: Set<string>;
}

/**
 * The state of a ztunnel, as contract ztunnel.md 2.4, 2.5 and 6.5 describe it: it outlives connections, forgets a
 * service's endpoints with the service, and drops unhealthy endpoints unless the service wants them.
 */
export class ModelZtunnel<
  S extends AnyService = SentService,
  W extends AnyWorkload = SentWorkload,
  P extends AnyPolicy = SentPolicy,
> {
  readonly workloads = new Map<string, Named<W>>();
  readonly services = new Map<string, HeldService<S>>();
  readonly policies = new Map<string, Named<P>>();
  /** Endpoints of services that have not come yet, and whether each is healthy. */
  readonly #staged = new Map<string, Map<string, boolean>>();
  readonly #versions = new Map<TypeUrl, Map<string, string>>();
  /** On-demand keys that something waits for. */
  readonly waiting = new Set<string>();

  constructor(
    /** Rejects what is bad. */
    readonly picky: boolean,
  ) {}

  versions(typeUrl: TypeUrl): Map<string, string> {
    let versions = this.#versions.get(typeUrl);
    if (versions === undefined) this.#versions.set(typeUrl, (versions = new Map()));
    return versions;
  }

  /** @returns the text of a NACK, or undefined for an ACK. */
  apply(response: DeltaResponse): string | undefined {
    const named = decode(response.records) as unknown as Named<S | W | P>[];
    assert.equal(named.length, response.resources);
    return this.take(response.typeUrl, named, response.removed);
  }

  /** The same, of resources that somebody else has decoded. */
  take(typeUrl: TypeUrl, named: readonly Named<S | W | P>[], removed: readonly string[]): string | undefined {
    const versions = this.versions(typeUrl);
    const names = [...named.map(({ name }) => name), ...removed];
    assert.equal(new Set(names).size, names.length, "a name is twice in one response");
    const rejected = named.filter(({ value }) => this.picky && value.bad === true).map(({ name }) => `${name}: bad`);
    const accepted = named.filter(({ value }) => !this.picky || value.bad !== true);
    for (const { name, version } of accepted) versions.set(name, version);
    if (typeUrl === ADDRESS_TYPE) this.#applyAddresses(accepted as Named<S | W>[]);
    else for (const policy of accepted as Named<P>[]) this.policies.set(policy.name, policy);
    for (const name of removed) {
      versions.delete(name);
      if (typeUrl === ADDRESS_TYPE) this.#removeAddress(name);
      else this.policies.delete(name);
    }
    if (typeUrl === ADDRESS_TYPE) for (const name of names) this.waiting.delete(name);
    if (!this.picky) this.#checkPolicies();
    return rejected.length === 0 ? undefined : rejected.join("; ");
  }

  #applyAddresses(accepted: readonly Named<S | W>[]): void {
    const workloads: Named<W>[] = [];
    for (const named of accepted) {
      if (named.value.kind === "service") this.#insertService(named as Named<S>);
      else workloads.push(named as Named<W>);
    }
    for (const workload of workloads) {
      const before = this.workloads.get(workload.name);
      assert(before === undefined || before.value.revision <= workload.value.revision, "a workload went back in time");
      this.#dropEndpoints(workload.name);
      this.workloads.set(workload.name, workload);
    }
    for (const { name, value } of workloads)
      for (const service of value.services) this.#addEndpoint(service, name, value);
  }

  #insertService(sent: Named<S>): void {
    const endpoints = this.services.get(sent.name)?.endpoints ?? new Set();
    this.services.set(sent.name, { sent, endpoints });
    for (const [uid, healthy] of this.#staged.get(sent.name) ?? [])
      if (healthy || sent.value.allowAll) endpoints.add(uid);
    this.#staged.delete(sent.name);
  }

  #addEndpoint(name: string, uid: string, { healthy }: W): void {
    const service = this.services.get(name);
    if (service === undefined) {
      const staged = this.#staged.get(name) ?? new Map<string, boolean>();
      this.#staged.set(name, staged.set(uid, healthy));
    } else if (healthy || service.sent.value.allowAll) service.endpoints.add(uid);
  }

  #dropEndpoints(uid: string): void {
    for (const service of this.workloads.get(uid)?.value.services ?? []) {
      this.services.get(service)?.endpoints.delete(uid);
      this.#staged.get(service)?.delete(uid);
    }
  }

  #removeAddress(name: string): void {
    if (this.workloads.has(name)) {
      this.#dropEndpoints(name);
      this.workloads.delete(name);
    } else {
      this.services.delete(name);
      this.#staged.delete(name);
    }
  }

  /** An unknown policy is skipped: what it closes would be open (contract ztunnel.md 6.7). */
  #checkPolicies(): void {
    for (const { name, value } of this.workloads.values())
      for (const policy of value.policies)
        assert(this.policies.has(policy), `${name} names ${policy}, which the client does not hold`);
  }
}
