import { createHash, X509Certificate } from "node:crypto";
import type { EpochMs } from "../../src/host.ts";
import type { ClusterId } from "../../src/names.ts";
import type { RelayDesk } from "../../src/relay/desk.ts";
import type {
  ClusterReport,
  Hello,
  IntermediateRequest,
  ManagerMessage,
  Order,
  SignedIntermediate,
} from "../../src/relay/messages.ts";

export type Word = Extract<ManagerMessage, { kind: "order" | "refusal" }>;

/** A trust manager that says what its test wants, and writes down what it is told. */
export class TestDesk implements RelayDesk {
  /** Those that may call. */
  readonly registered = new Set<ClusterId>();
  readonly words = new Map<ClusterId, Word>();
  /** Signs; by default nothing is signed. */
  signer: (cluster: ClusterId, request: IntermediateRequest, signal: AbortSignal) => Promise<SignedIntermediate> = () =>
    Promise.reject(new Error("nobody signs here"));
  /** As `east connected 1.0`, in order; addresses are left out. */
  readonly told: string[] = [];
  readonly reports: { readonly cluster: ClusterId; readonly report: ClusterReport }[] = [];
  /** What was asked to be signed. */
  readonly asked: { readonly cluster: ClusterId; readonly request: IntermediateRequest }[] = [];
  readonly refusals: { readonly cluster: string; readonly from: string; readonly why: string }[] = [];
  readonly contests = new Map<ClusterId, string | undefined>();
  readonly #observers = new Set<() => void>();

  whyNot(cluster: ClusterId): string | undefined {
    return this.registered.has(cluster)
      ? undefined
      : `cluster ${cluster} is not registered: apply a KubernetesCluster of that name`;
  }
  wordFor(cluster: ClusterId): Word | undefined {
    return this.words.get(cluster);
  }
  observe(observer: () => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }
  sign(cluster: ClusterId, request: IntermediateRequest, signal: AbortSignal): Promise<SignedIntermediate> {
    this.asked.push({ cluster, request });
    return this.signer(cluster, request, signal);
  }
  connected(cluster: ClusterId, { version }: Hello): void {
    this.told.push(`${cluster} connected ${version}`);
  }
  reported(cluster: ClusterId, report: ClusterReport): void {
    this.told.push(`${cluster} reported ${report.generation}`);
    this.reports.push({ cluster, report });
  }
  disconnected(cluster: ClusterId): void {
    this.told.push(`${cluster} disconnected`);
  }
  refused(cluster: string, from: string, why: string): void {
    this.refusals.push({ cluster, from, why });
  }
  contested(cluster: ClusterId, why: string | undefined): void {
    this.contests.set(cluster, why);
  }

  /** Tells observers that something changed. */
  change(act: (desk: this) => void): void {
    act(this);
    for (const observer of this.#observers) observer();
  }
}

/** An order as a manager makes it. */
export const testOrder = (generation: string, roots: readonly Uint8Array[], more: Partial<Order> = {}): Word => ({
  kind: "order",
  order: {
    generation,
    trustDomain: "cluster.local",
    intermediate: {
      organization: "cluster.local",
      commonName: "Intermediate CA east",
      pathLength: 0,
      lifetimeMs: 86_400_000,
      keyType: "ec-p256",
      graceRatio: 0.1,
    },
    roots,
    signingRoot: createHash("sha256").update(roots[0]!).digest("hex"),
    autoRestartPods: false,
    bounds: undefined,
    ...more,
  },
});

export const testReport = (generation: string, clock: EpochMs, more: Partial<ClusterReport> = {}): ClusterReport => ({
  generation,
  roots: [],
  chain: [],
  signingRoot: undefined,
  rootWaitMs: 0,
  waits: [],
  problems: [],
  restarts: [],
  clock,
  version: "1.0",
  ...more,
});

export const nameOf = (pem: string): string => new X509Certificate(pem).subjectAltName ?? "";
