import { createHash } from "node:crypto";
import { MeshError } from "../../errors.ts";
import { isClusterId, type ClusterId } from "../../names.ts";
import type { Problem } from "../model/problem.ts";
import type { Credentials } from "./feed-swap.ts";

/** A secret, or a file, that names clusters. */
export interface KubeconfigSource {
  /** As `istio-system/istio-remote-secret-west`; no two are called the same. */
  readonly name: string;
  /** As `Secret istio-system/istio-remote-secret-west`, for problems. */
  readonly object: string;
  /** As `data[west]`; of a whole file it is empty. */
  fieldOf(cluster: string): string;
}

/** What a source holds for one cluster. What is `refused` says why, in words that continue the field's name. */
export type KubeconfigText = { readonly text: string } | { readonly refused: string };

/** One source's word on one cluster. */
export interface ClusterClaim<Connection> {
  readonly source: KubeconfigSource;
  readonly said: KubeconfigText;
  readonly read: Credentials<Connection> | Refusal;
}

/** Why a kubeconfig, or a part of it, is not used. */
export interface Refusal {
  readonly refused: string;
  /** Of the kubeconfig, as `users[0].user.exec`; empty if it is about all of it. */
  readonly field: string;
}

/** Larger kubeconfigs are not read: with certificates and a token one has some ten thousand characters. */
export const KUBECONFIG_CHARS_MAX = 256 * 1024;

/** Who says how which cluster is reached: of several sources that name one, the first keeps it. */
export class ClusterClaims<Connection> {
  readonly #own: ClusterId;
  readonly #readKubeconfig: (text: string) => Connection;
  /** Claims of each cluster, by source, in the order in which they came. */
  readonly #byCluster = new Map<ClusterId, Map<string, ClusterClaim<Connection>>>();
  /** The source that each cluster is read from. */
  readonly #holders = new Map<ClusterId, string>();
  /** What no cluster can be called, by source. */
  readonly #misnamed = new Map<string, readonly Problem[]>();

  constructor(own: ClusterId, readKubeconfig: (text: string) => Connection) {
    this.#own = own;
    this.#readKubeconfig = readKubeconfig;
  }

  /** Takes all that `source` says now, in place of what it said before. @returns the clusters that it is about. */
  set(source: KubeconfigSource, said: ReadonlyMap<string, KubeconfigText>): ReadonlySet<ClusterId> {
    const named = [...said].filter(([name]) => isClusterId(name) && name !== this.#own) as [
      ClusterId,
      KubeconfigText,
    ][];
    const strangers = [...said.keys()].filter((name) => !isClusterId(name) || name === this.#own);
    if (strangers.length === 0) this.#misnamed.delete(source.name);
    else
      this.#misnamed.set(
        source.name,
        strangers.map((name) => this.#misnaming(source, name)),
      );
    const touched = this.#drop(source.name, new Set(named.map(([cluster]) => cluster)));
    for (const [cluster, text] of named) {
      touched.add(cluster);
      this.#put(cluster, source, text);
    }
    return touched;
  }

  /** The source is gone. @returns the clusters that it named. */
  delete(source: string): ReadonlySet<ClusterId> {
    this.#misnamed.delete(source);
    return this.#drop(source, new Set());
  }

  /** All that any source names, whether it can be read or not. */
  clusters(): Iterable<ClusterId> {
    return this.#byCluster.keys();
  }

  named(cluster: ClusterId): boolean {
    return this.#byCluster.has(cluster);
  }

  /**
   * The claim that counts: the one that did before, even if it cannot be read any more, else the first that can be.
   * @returns undefined if there is none.
   */
  holder(cluster: ClusterId): ClusterClaim<Connection> | undefined {
    const claims = this.#byCluster.get(cluster);
    const before = claims?.get(this.#holders.get(cluster) ?? "");
    if (before) return before;
    const first = [...(claims?.values() ?? [])].find(({ read }) => !isRefusal(read));
    if (first) this.#holders.set(cluster, first.source.name);
    else this.#holders.delete(cluster);
    return first;
  }

  /** Why what is named has no effect, or not all that it might. `known` is true for clusters that are read. */
  problems(known: (cluster: ClusterId) => boolean): readonly Problem[] {
    const ofClaims = [...this.#byCluster].flatMap(([cluster, claims]) =>
      [...claims.values()].flatMap((claim) => this.#problemOf(cluster, claim, known(cluster)) ?? []),
    );
    return [...[...this.#misnamed.values()].flat(), ...ofClaims];
  }

  #put(cluster: ClusterId, source: KubeconfigSource, said: KubeconfigText): void {
    const claims = this.#byCluster.get(cluster) ?? new Map<string, ClusterClaim<Connection>>();
    this.#byCluster.set(cluster, claims);
    const known = claims.get(source.name);
    // Reading is not tried again before it changes.
    if (known && sameText(known.said, said)) return;
    claims.set(source.name, { source, said, read: this.#read(source, said) });
  }

  #drop(source: string, except: ReadonlySet<ClusterId>): Set<ClusterId> {
    const dropped = new Set<ClusterId>();
    for (const [cluster, claims] of this.#byCluster) {
      if (except.has(cluster) || !claims.delete(source)) continue;
      dropped.add(cluster);
      if (claims.size > 0) continue;
      this.#byCluster.delete(cluster);
      this.#holders.delete(cluster);
    }
    return dropped;
  }

  #read(source: KubeconfigSource, said: KubeconfigText): Credentials<Connection> | Refusal {
    if ("refused" in said) return { refused: said.refused, field: "" };
    if (said.text.length > KUBECONFIG_CHARS_MAX)
      return { refused: `is longer than ${KUBECONFIG_CHARS_MAX} characters; keep only this cluster in it`, field: "" };
    try {
      const connection = this.#readKubeconfig(said.text);
      return { connection, digest: createHash("sha256").update(said.text).digest("hex"), source: source.name };
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      const { field } = error.detail;
      return { refused: `is no kubeconfig that can be used: ${error.message}`, field: String(field ?? "") };
    }
  }

  #problemOf(cluster: ClusterId, { source, read }: ClusterClaim<Connection>, known: boolean): Problem | undefined {
    const holder = this.#holders.get(cluster);
    const refused = isRefusal(read);
    if (holder !== undefined && holder !== source.name)
      return problemOf(
        source,
        cluster,
        `names cluster ${cluster}, which is already registered from ${holder}, so this is ignored${refused ? "; and it " + read.refused : ""}. Remove it from one of the two`,
        "warning",
      );
    if (!refused) return undefined;
    const effect = known ? "the kubeconfig before stays in use" : `cluster ${cluster} is not read`;
    return problemOf(source, cluster, `${read.refused}. Until this is fixed, ${effect}`, "error", read.field);
  }

  #misnaming(source: KubeconfigSource, name: string): Problem {
    if (name === this.#own)
      return problemOf(
        source,
        name,
        `names our own cluster ${name}, which needs no remote secret, so this is ignored`,
        "info",
      );
    const right = "use 1 to 128 letters, digits, '.', '-' and '_', beginning and ending with a letter or digit";
    return problemOf(source, name, `is no name of a cluster, so this is ignored: ${right}`, "error");
  }
}

export const isRefusal = (read: object): read is Refusal => "refused" in read;

export function problemOf(
  source: KubeconfigSource,
  cluster: string,
  message: string,
  severity: Problem["severity"],
  within = "",
): Problem {
  const own = source.fieldOf(cluster);
  const field = [own, within].filter((part) => part !== "").join(".");
  return { object: source.object, origin: "", field, message: `${own || "it"} ${message}.`, severity };
}

function sameText(before: KubeconfigText, now: KubeconfigText): boolean {
  if ("refused" in before) return "refused" in now && before.refused === now.refused;
  return "text" in now && before.text === now.text;
}
