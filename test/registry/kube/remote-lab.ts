import { MeshError } from "../../../src/errors.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { clusterId, type ClusterId } from "../../../src/names.ts";
import type { ClusterFeed, FeedState } from "../../../src/registry/kube/cluster-feed.ts";
import { RemoteClusters, type RemoteClustersOptions } from "../../../src/registry/kube/remote-clusters.ts";
import { RemoteSecrets } from "../../../src/registry/kube/remote-secrets.ts";
import { TestHost } from "../../kits/test-host.ts";

/** A feed that syncs after a while of virtual time, or never, and counts how many of its kind are open. */
export class FakeFeed implements ClusterFeed {
  state: FeedState = "syncing";
  trouble: string | undefined;
  heardAt: number | undefined;
  joined = false;
  #whenSynced: (() => void) | undefined;
  #timer: Disposable | undefined;

  constructor(
    readonly lab: RemoteLab,
    readonly cluster: ClusterId,
    /** What the kubeconfig said: `good`, or with a delay `good 3000`; `dead` never syncs. */
    readonly connection: string,
  ) {}

  start(): void {
    this.lab.opened(this);
    const [, ms = "200"] = /^good\S* ?(\d+)?/.exec(this.connection) ?? [];
    if (this.connection.startsWith("dead")) this.trouble = "https://dead:6443 refuses the connection";
    else this.#timer = this.lab.host.clock.after(Number(ms), () => this.sync());
  }
  sync(): void {
    this.state = "synced";
    this.heardAt = this.lab.host.clock.now();
    this.#whenSynced?.();
  }
  whenSynced(task: () => void): void {
    if (this.state === "synced") task();
    else this.#whenSynced = task;
  }
  join(): void {
    if (this.state !== "synced" || this.joined) throw new Error("joined out of turn");
    this.joined = true;
    this.lab.holds.set(this.cluster, this.connection);
  }
  async close(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    if (this.state === "closed") return;
    this.state = "closed";
    await this.lab.closing();
    this.lab.closed(this);
  }
}

/** Remote clusters over feeds that are faked, on a virtual clock. */
export class RemoteLab {
  readonly host = new TestHost();
  readonly remote: RemoteClusters<string>;
  readonly secrets: RemoteSecrets;
  /** What each cluster's objects come from, as the registry would hold them. */
  readonly holds = new Map<string, string>();
  readonly left: string[] = [];
  leaving: (cluster: string) => void = () => {};
  readonly open = new Set<FakeFeed>();
  openMax = 0;
  feeds = 0;
  #now = 0;

  constructor(options: Partial<RemoteClustersOptions<string>> = {}) {
    this.remote = new RemoteClusters(this.host, {
      ownCluster: clusterId("east"),
      readKubeconfig: readFake,
      open: (cluster, connection) => new FakeFeed(this, cluster, connection),
      leave: (cluster) => {
        this.leaving(cluster);
        this.left.push(cluster);
        this.holds.delete(cluster);
      },
      ...options,
    });
    this.secrets = new RemoteSecrets(this.host, "istio-system", this.remote);
    this.remote.start();
  }

  opened(feed: FakeFeed): void {
    this.feeds++;
    this.open.add(feed);
    this.openMax = Math.max(this.openMax, this.open.size);
  }
  closed(feed: FakeFeed): void {
    this.open.delete(feed);
  }
  /** How long a feed takes to close; at once, by default. */
  closing = (): Promise<void> => Promise.resolve();

  /** Lets time pass, a tenth of a second at a time, with promises kept in between. */
  async pass(ms: number): Promise<void> {
    for (const end = this.#now + ms; this.#now < end;) {
      const step = Math.min(100, end - this.#now);
      this.host.clock.advance(step);
      this.#now += step;
      await settled();
    }
  }

  feed(cluster: string): FakeFeed {
    const feed = [...this.open].filter((open) => open.cluster === cluster).at(-1);
    if (!feed) throw new Error(`no feed of ${cluster} is open`);
    return feed;
  }
  problems(): string[] {
    return this.remote.problems().map(({ object, field, message }) => `${object} ${field}: ${message}`);
  }
  states(): Record<string, string> {
    return Object.fromEntries(this.remote.clusters().map(({ cluster, state }) => [cluster, state]));
  }
  lines(pattern: RegExp): string[] {
    return this.host.lines.filter((line) => pattern.test(line));
  }
}

/** As many turns as the longest chain of promises in a swap takes. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await Promise.resolve();
}

function readFake(text: string): string {
  if (/^(good|dead)/.test(text)) return text;
  throw new MeshError("invalid", `users[0].user.exec is not allowed in a remote secret`, {
    field: "users[0].user.exec",
  });
}

/** A remote secret with these kubeconfigs. */
export function secret(name: string, kubeconfigs: Record<string, string>, more: object = {}): KubeObject {
  const data = Object.fromEntries(
    Object.entries(kubeconfigs).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "istio-system", labels: { "istio/multiCluster": "true" }, ...more },
    data,
  };
}
