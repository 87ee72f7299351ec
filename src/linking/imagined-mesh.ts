import type { ExplainFacts } from "../explain/explanation.ts";
import { carryAll, forget, linksBetween, scopeOf, type SiteLink } from "../inspect/analyze/linked-sites.ts";
import { type Site, siteOf } from "../inspect/analyze/site.ts";
import type { KubeObject } from "../kube/object.ts";
import { isClusterId } from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { GatewayManifest } from "./gateways.ts";
import { laidOver } from "./laid-over.ts";
import type { Pair, Side } from "./side.ts";

/** What `change` does to one cluster. */
export interface GatewayChange {
  readonly side: Side;
  /** Made, or laid over those that are there. */
  readonly come: readonly GatewayManifest[];
  readonly go: readonly KubeObject[];
}

/**
 * Clusters as their control planes would have them if their Gateways were others than they are: each object is read, each
 * service shared, granted, refused and merged by the code that does it in a control plane. Links are taken to be up.
 * Nothing is changed anywhere.
 */
export class ImaginedMesh {
  readonly #sites = new Map<Side, Site>();
  #links: readonly SiteLink[] = [];

  /** Of sides that have an ID; of several with one ID the first. */
  constructor(sides: readonly Side[]) {
    const known = new Set<string>();
    for (const side of sides) {
      const { cluster, facts, system: systemNamespace } = side;
      if (cluster === undefined || !isClusterId(cluster) || known.has(cluster)) continue;
      known.add(cluster);
      this.#sites.set(side, siteOf({ ...facts, cluster }, 0, { systemNamespace }));
    }
    this.#settle();
  }

  /** Undefined of one that nobody knows the ID of. */
  site(side: Side): Site | undefined {
    return this.#sites.get(side);
  }

  /** By which one hears the other; undefined if it does not. */
  link({ reader, peer }: Pick<Pair, "reader" | "peer">): SiteLink | undefined {
    const [from, to] = [this.site(reader), this.site(peer)];
    return this.#links.find((link) => link.from === from && link.to === to);
  }

  change(changes: readonly GatewayChange[]): void {
    for (const { side, come, go } of changes) {
      const site = this.site(side);
      if (site === undefined) continue;
      const intake = site.registry.intake(site.cluster);
      for (const object of go) intake.delete(object);
      for (const manifest of come) intake.set(onTop(manifest, side), "");
      site.graph.flush();
    }
    this.#settle();
  }

  /** What `explain` is asked with, as if control planes were connected over every link and had taken all. */
  explainFacts(site: Site): ExplainFacts {
    const readers = this.#links.flatMap((link) => {
      if (link.to !== site) return [];
      const { cluster, mesh, systemNamespace } = link.from;
      const account = { namespace: systemNamespace, serviceAccount: "istiod" };
      const identity = formatServiceAccountId({ trustDomain: mesh.settings.trustDomain, ...account });
      return [{ cluster, identity, granted: scopeOf(link).granted, acknowledged: true, ackedAt: 0 }];
    });
    return { registry: site.registry, peers: [], readers, refused: [], problems: [], manifests: new Map() };
  }

  #settle(): void {
    const links = linksBetween([...this.#sites.values()]);
    for (const before of this.#links)
      if (!links.some(({ from, to }) => from === before.from && to === before.to)) forget(before);
    carryAll(links);
    this.#links = links;
  }
}

function onTop(manifest: GatewayManifest, { remotes }: Side): KubeObject {
  const { namespace, name } = manifest.metadata;
  const there = remotes.find(({ gateway: { id } }) => id.namespace === namespace && id.name === name);
  return (there === undefined ? manifest : laidOver(there.object, manifest)) as KubeObject;
}
