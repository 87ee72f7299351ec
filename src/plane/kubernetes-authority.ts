import { type AuthorityKeeper, firstStage, refusalsOf } from "../ca/authority-keeper.ts";
import type { Authority } from "../ca/authority.ts";
import { type AuthorityUse, firstUse } from "../ca/authority-use.ts";
import { partsMesh } from "../ca/authority-steps.ts";
import { LOOK_MS } from "../ca/cacerts-follower.ts";
import { authorityOf, type CacertsFiles, withoutLists } from "../ca/cacerts.ts";
import type { RootMemory } from "../ca/remembered-roots.ts";
import { cacertsInSecret, ownRootInSecret } from "../ca/secret-data.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { ResourceType } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";
import { CONFIG_MAPS, SECRETS } from "../kube/resource-types.ts";
import type { Problem } from "../registry/model/problem.ts";
import { type AuthorityContext, type AuthoritySource, keeperOf, problemsOf } from "./authority-source.ts";
import { FollowedObject } from "./followed-object.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";
import { OWN_ROOT_SECRET, OwnRootSecret } from "./own-root-secret.ts";
import { ROOT_MEMORY_SECRET, RootMemorySecret } from "./root-memory-secret.ts";
import { unlessAborted } from "./unless-aborted.ts";

/** How often the leader looks whether the root of our own is due, as istiod. */
const RENEWAL_LOOK_MS = 3_600_000;

/**
 * The authority in the Secret `cacerts` of the system namespace. If there is none, a root of our own in `istio-ca-secret`,
 * which all replicas share and the leading one renews. A Secret that is there and cannot be used is waited for: it never
 * makes us sign with a root that nobody asked for.
 */
export class KubernetesAuthority implements AuthoritySource {
  readonly #context: AuthorityContext;
  readonly #access: KubernetesAccess;
  readonly #plugged: FollowedObject;
  readonly #own: FollowedObject;
  /** What workloads were told to trust, by whoever was here before us. */
  readonly #published: FollowedObject;
  readonly #known: FollowedObject;
  readonly #memory: RootMemorySecret;
  readonly #writer: OwnRootSecret;
  /** What is in use. */
  #files: CacertsFiles | undefined;
  #authority: Authority | undefined;
  #memoryAtStart: RootMemory | undefined;
  #keeper: AuthorityKeeper | undefined;
  #first: (authority: Authority) => void = () => {};
  #waiting: string | undefined;
  #nextLook: Disposable | undefined;
  #nextRenewal: Disposable | undefined;
  #busy: Promise<void> | undefined;
  #closed = false;

  constructor(context: AuthorityContext, access: KubernetesAccess) {
    const { host, config } = context;
    const { clusterId: cluster, systemNamespace: namespace } = config;
    this.#context = context;
    this.#access = access;
    const follow = (type: ResourceType, name: string): FollowedObject =>
      new FollowedObject(host, access, { cluster, type, namespace, name }, () => this.#look());
    this.#plugged = follow(SECRETS, "cacerts");
    this.#own = follow(SECRETS, OWN_ROOT_SECRET);
    this.#published = follow(CONFIG_MAPS, config.rootConfigMap);
    this.#known = follow(SECRETS, ROOT_MEMORY_SECRET);
    this.#memory = new RootMemorySecret(host, access.api, namespace);
    this.#writer = new OwnRootSecret(host, access.api, namespace);
  }

  first(signal: AbortSignal): Promise<Authority> {
    const found = new Promise<Authority>((resolve) => (this.#first = resolve));
    for (const object of this.#objects) object.start();
    this.#lookAgain();
    return unlessAborted(found, signal, "no authority was found that can be used");
  }

  use(): AuthorityUse | undefined {
    return this.#keeper?.use ?? (this.#authority && firstUse(this.#authority));
  }

  /** Secrets are watched. */
  async look(): Promise<void> {}

  waitingFor(): string | undefined {
    if (this.#authority !== undefined) return undefined;
    const unread = this.#objects.find(({ object }) => object === undefined);
    if (unread !== undefined)
      return `${unread.title} is not read yet${unread.trouble === undefined ? "" : `: ${unread.trouble}`}`;
    return this.#waiting ?? (this.#writer.trouble || `${this.#own.title} is not made yet`);
  }

  follow(onChange: (authority: Authority) => Promise<void>): void {
    this.#keeper = keeperOf(this.#context, this.#authority!, this.#memoryAtStart!, onChange);
    const { clock, random } = this.#context.host;
    // Replicas of several revisions may each have a leader.
    this.#nextRenewal = clock.after(random.next() * RENEWAL_LOOK_MS, () => this.#renewAgain());
  }

  problems(): readonly Problem[] {
    const { trouble } = this.#writer;
    const forgotten = this.#memory.trouble;
    const unremembered = forgotten === "" ? [] : [{ severity: "warning", message: `${forgotten}.` } as const];
    const waiting = this.#waiting === undefined ? [] : [{ severity: "error", message: `${this.#waiting}.` } as const];
    const unwritten = trouble === "" ? [] : [{ severity: "error", message: `${trouble}.` } as const];
    return [
      ...problemsOf("the authority", [...waiting, ...(this.#keeper?.faults ?? [])]),
      ...problemsOf(this.#own.title, unwritten),
      ...problemsOf(this.#known.title, unremembered),
    ];
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#nextLook?.[Symbol.dispose]();
    this.#nextRenewal?.[Symbol.dispose]();
    await Promise.all(this.#objects.map((object) => object.close()));
    await Promise.all([this.#busy, this.#keeper?.settled()]);
  }

  get #objects(): readonly FollowedObject[] {
    return [this.#plugged, this.#own, this.#published, this.#known];
  }

  /** Without a change, too: a certificate becomes valid, a wait ends, what was refused to us is granted. */
  #lookAgain(): void {
    this.#nextLook = this.#context.host.clock.after(LOOK_MS, () => this.#lookAgain());
    this.#look();
  }

  #look(): void {
    if (this.#closed) return;
    if (this.#known.object !== undefined) this.#memory.found(this.#known.object);
    this.#act(this.#found());
    // Last: all else that is to be written matters more, and one deed is done at a time.
    if (this.#memory.due) this.#do(() => this.#memory.write());
  }

  #act(found: Found): void {
    if (found === "unknown") return;
    if (this.#authority === undefined) this.#begin(found);
    // Replicas that start now would make another one.
    else if (typeof found === "string") this.#do(() => this.#writer.restore(this.#files!));
    else this.#offer(found);
  }

  #found(): Found {
    const [plugged, own] = [this.#plugged.object, this.#own.object];
    if (plugged === undefined) return "unknown";
    if (this.#published.object === undefined || this.#known.object === undefined) return "unknown";
    const { title } = this.#plugged;
    if (plugged !== "absent") return filesOf(() => cacertsInSecret(title, plugged["data"]));
    if (this.#files?.folder === title) return new MeshError("absent", `${title} was deleted; put it back`);
    if (own === undefined) return "unknown";
    if (own !== "absent") return filesOf(() => ownRootInSecret(this.#own.title, own["data"]));
    return "none";
  }

  #begin(found: CacertsFiles | MeshError | "none"): void {
    const { host, config, noteProblems } = this.#context;
    try {
      if (found instanceof MeshError) throw found;
      if (found === "none") return this.#make();
      const files = config.readsLists ? found : withoutLists(found);
      const authority = authorityOf(files, config.trustDomain, host.clock.now());
      this.#checkKnown(authority.roots, `those of ${found.folder}`);
      const memory = this.#beginningOfMemory();
      this.#authority = firstStage(host, { authority, rootWaitMs: config.rootWaitMs, memory });
      this.#memoryAtStart = memory;
      this.#files = found;
      this.#waiting = undefined;
      host.log.scope("ca").info("the authority is read", { from: found.folder, roots: this.#authority.roots.length });
      this.#first(this.#authority);
    } catch (thrown) {
      const why = messageOf(thrown);
      // To have none yet is how it begins under a trust manager.
      const begins = found === "none" && config.relay.manager !== undefined;
      if (why !== this.#waiting && !begins) {
        refusalsOf(host).add();
        host.log.scope("ca").error("there is no authority that can be used, so we are not ready; mend it", { why });
      }
      this.#waiting = why;
      if (!(found instanceof MeshError) && found !== "none" && found.folder === this.#own.title)
        this.#do(() => this.#renew(found));
    }
    noteProblems();
  }

  /** Where nobody was told of roots, nobody knows any: what is remembered is of another mesh. */
  #beginningOfMemory(): RootMemory {
    const remembered = isObject(this.#published.object) ? this.#memory.remembered : undefined;
    return { remembered, remember: (roots) => this.#memory.remember(roots) };
  }

  #offer(found: CacertsFiles | MeshError): void {
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    void keeper.offer(found).then(() => {
      if (!(found instanceof MeshError) && keeper.adopted === found.digest) this.#files = found;
    });
  }

  #make(): void {
    if (this.#context.config.relay.manager !== undefined)
      throw new MeshError(
        "absent",
        `${this.#plugged.title} is not there yet, and the trust manager's authority goes there`,
      );
    this.#checkKnown([], "a root of our own");
    this.#waiting = undefined;
    this.#do(async () => {
      const made = await this.#writer.make(this.#context.config.trustDomain);
      if (made !== undefined && this.#own.object === "absent") this.#own.set(made);
    });
  }

  /**
   * Running replicas refuse roots that replace roots at once; one that starts must not do it behind their back.
   * @throws MeshError `conflict`
   */
  #checkKnown(roots: readonly Uint8Array[], which: string): void {
    const { host, config } = this.#context;
    const { object, title } = this.#published;
    const pem = isObject(object)
      ? (object["data"] as Partial<Record<string, unknown>> | undefined)?.["root-cert.pem"]
      : "";
    // Where SPIRE signs for workloads, what they trust may be its roots alone, and says nothing of ours.
    if (config.rootWaitMs === 0 || config.spire.identity !== "mesh") return;
    if (typeof pem !== "string" || !partsMesh(pem, roots, host.clock.now())) return;
    throw new MeshError(
      "conflict",
      `workloads trust the roots in ${title}, and none of them is among ${which}, so they would refuse each other; put ` +
        "the old root beside the new one, or bring back the Secret that was there. If nobody has to trust the old roots " +
        "any more, delete that ConfigMap, or start with --root-wait 0",
    );
  }

  #renewAgain(): void {
    const { clock } = this.#context.host;
    this.#nextRenewal = clock.after(RENEWAL_LOOK_MS, () => this.#renewAgain());
    const files = this.#files!;
    if (files.folder === this.#own.title && this.#access.leads()) this.#do(() => this.#renew(files));
  }

  async #renew(files: CacertsFiles): Promise<void> {
    const { object } = this.#own;
    if (isObject(object)) await this.#writer.renew(object, files);
  }

  /** One deed at a time: the next look is soon. */
  #do(deed: () => Promise<void>): void {
    this.#busy ??= deed()
      .catch((thrown: unknown) => this.#context.host.log.scope("ca").error(messageOf(thrown)))
      .finally(() => {
        this.#busy = undefined;
        this.#context.noteProblems();
      });
  }
}

type Found = CacertsFiles | MeshError | "unknown" | "none";

const isObject = (object: KubeObject | "absent" | undefined): object is KubeObject => typeof object === "object";

function filesOf(read: () => CacertsFiles): CacertsFiles | MeshError {
  try {
    return read();
  } catch (thrown) {
    return MeshError.from(thrown);
  }
}
