import { describe, FieldError, type Fields } from "../../registry/kube/fields.ts";
import type { Metadata } from "../../registry/kube/metadata.ts";
import type { TrustKind, TrustObjectId } from "../policy.ts";
import { readCaSource, type CaSource } from "./ca-source.ts";
import { readDoubtfulIdentityProvider, readIdentityProvider, type IdentityProvider } from "./identity-provider.ts";
import { readKubernetesCluster, type KubernetesCluster } from "./kubernetes-cluster.ts";
import { readRootTrustPolicy, type RootTrustPolicy } from "./root-trust-policy.ts";
import type { Workspace, WorkspaceSettings } from "./workspace-model.ts";
import { readWorkspaceSettings } from "./workspace-settings.ts";
import { readDoubtfulWorkspace, readWorkspace } from "./workspace.ts";

/** What an object of each kind says. */
export interface TrustValues {
  readonly RootTrustPolicy: RootTrustPolicy;
  readonly CASource: CaSource;
  readonly IdentityProvider: IdentityProvider;
  readonly KubernetesCluster: KubernetesCluster;
  readonly Workspace: Workspace;
  readonly WorkspaceSettings: WorkspaceSettings;
}

/** An object, and what is known of it. */
export interface Known<Value> {
  /** Of the object as it is now. */
  readonly id: TrustObjectId;
  /** What it says, or said when it last could be read, or what holds if it never could; undefined if it then is nothing. */
  readonly value: Value | undefined;
  /** Whether it ever could be read. */
  readonly wasRead: boolean;
  /** Why it cannot be read, and what holds until it can; undefined if it can. */
  readonly error: string | undefined;
}

/** All objects, by `namespace/name`. */
export type TrustObjects = { readonly [Kind in TrustKind]: ReadonlyMap<string, Known<TrustValues[Kind]>> };

/** @throws FieldError */
type Read<Value> = (metadata: Metadata, object: Fields) => Value;

interface Reader<Value> {
  readonly read: Read<Value>;
  /** What holds of one that never was readable; never throws. */
  readonly readDoubtful: ((metadata: Metadata, object: Fields) => Value) | undefined;
  /** The same in words, after `Until this is fixed, `. */
  readonly without: string;
}

const READERS: { readonly [Kind in TrustKind]: Reader<TrustValues[Kind]> } = {
  RootTrustPolicy: { read: readRootTrustPolicy, readDoubtful: undefined, without: "it says nothing" },
  CASource: { read: readCaSource, readDoubtful: undefined, without: "nothing is signed by it" },
  IdentityProvider: {
    read: readIdentityProvider,
    readDoubtful: readDoubtfulIdentityProvider,
    without: "nobody can tell the trust domain of its clusters, and they get nothing new",
  },
  KubernetesCluster: { read: readKubernetesCluster, readDoubtful: undefined, without: "the cluster gets nothing new" },
  Workspace: { read: readWorkspace, readDoubtful: readDoubtfulWorkspace, without: "nothing belongs to it" },
  WorkspaceSettings: {
    read: readWorkspaceSettings,
    readDoubtful: undefined,
    without: "its Workspace shares nothing with others",
  },
};

const API_VERSION = "admin.gloo.solo.io/v2";

/** @param before what was known of the same object. */
export function knownObject<Kind extends TrustKind>(
  kind: Kind,
  id: TrustObjectId,
  metadata: Metadata | FieldError,
  object: Fields,
  before: Known<TrustValues[Kind]> | undefined,
): Known<TrustValues[Kind]> {
  const { read, readDoubtful, without }: Reader<TrustValues[Kind]> = READERS[kind];
  try {
    if (metadata instanceof FieldError) throw metadata;
    checkVersion(object["apiVersion"]);
    return { id, value: read(metadata, object), wasRead: true, error: undefined };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const why = `${error.field} ${error.message}. Until this is fixed,`;
    if (before?.wasRead && before.value !== undefined)
      return { ...before, id, value: { ...before.value, id }, error: `${why} what it said before stays in force.` };
    const value = metadata instanceof FieldError ? undefined : readDoubtful?.(metadata, object);
    return { id, value, wasRead: false, error: `${why} ${without}.` };
  }
}

function checkVersion(apiVersion: unknown): void {
  if (apiVersion !== API_VERSION) throw new FieldError("apiVersion", `is ${describe(apiVersion)}; use ${API_VERSION}`);
}
