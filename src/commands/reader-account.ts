import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import { ApiError, type KubeApi, type ResourceType } from "../kube/api.ts";
import { createObject, getObject } from "../kube/objects-api.ts";
import {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CUSTOM_RESOURCE_DEFINITIONS,
  SERVICE_ACCOUNTS,
  TOKEN_REVIEWS,
} from "../kube/resource-types.ts";
import { REMOTE_KINDS } from "../registry/kube/watched-kinds.ts";

/** A service account, by whose rights another control plane reads a cluster. */
export interface ReaderAccount {
  readonly namespace: string;
  readonly name: string;
}

interface Right {
  readonly type: ResourceType;
  readonly verb: "list" | "watch" | "create";
}

const AGAIN_EVERY_MS = 250;

const RIGHTS: readonly Right[] = [
  ...REMOTE_KINDS.flatMap(({ type }) => [{ type, verb: "list" } as const, { type, verb: "watch" } as const]),
  // Whether a kind that is not served has no CRD, or only a server that has not loaded it yet.
  { type: CUSTOM_RESOURCE_DEFINITIONS, verb: "list" },
  // Its own API server says whether the tokens of its workloads are good (contract ztunnel.md 4.4).
  { type: TOKEN_REVIEWS, verb: "create" },
];

/**
 * Makes the account, its role and the binding, as far as they are missing: what is there is somebody else's, such as a
 * chart's, and stays as it is.
 * @returns what was made, as `ServiceAccount istio-system/istio-reader-service-account`.
 */
export async function makeReader(
  api: KubeApi,
  account: ReaderAccount,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { namespace, name } = account;
  const role = `istio-reader-clusterrole-${namespace}`;
  const binding = name === DEFAULT_READER ? role : `${role}-${name}`;
  const bound = {
    roleRef: { apiGroup: CLUSTER_ROLES.group, kind: CLUSTER_ROLES.kind, name: role },
    subjects: [{ kind: SERVICE_ACCOUNTS.kind, namespace, name }],
  };
  const made = [
    await makeMissing(api, SERVICE_ACCOUNTS, { namespace, name }, {}, signal),
    await makeMissing(api, CLUSTER_ROLES, { name: role }, { rules: RULES }, signal),
    await makeMissing(api, CLUSTER_ROLE_BINDINGS, { name: binding }, bound, signal),
  ];
  return made.filter((object) => object !== undefined);
}

export const DEFAULT_READER = "istio-reader-service-account";

const RULES = [...new Set(RIGHTS.map(({ type }) => type.group))].map((group) => {
  const rights = RIGHTS.filter(({ type }) => type.group === group);
  const distinct = (values: readonly string[]): readonly string[] => [...new Set(values)];
  return {
    apiGroups: [group],
    resources: distinct(rights.map(({ type }) => type.plural)),
    verbs: distinct(rights.map(({ verb }) => verb)),
  };
});

/** Undefined if it was there. */
async function makeMissing(
  api: KubeApi,
  type: ResourceType,
  metadata: { readonly namespace?: string; readonly name: string },
  content: object,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [version = ""] = type.versions;
  const apiVersion = type.group === "" ? version : `${type.group}/${version}`;
  const object = { apiVersion, kind: type.kind, metadata, ...content };
  try {
    await createObject(api, { type, version, namespace: metadata.namespace }, object, signal);
    return `${type.kind} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name}`;
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.code === "conflict") return undefined;
    throw thrown;
  }
}

/** @throws MeshError `absent` if there is no such account. */
export async function requireAccount(
  api: KubeApi,
  { namespace, name }: ReaderAccount,
  fix: string,
  signal: AbortSignal,
): Promise<void> {
  const found = await getObject(api, { type: SERVICE_ACCOUNTS, version: "v1", namespace, name }, signal);
  if (found === undefined) throw new MeshError("absent", `there is no service account ${namespace}/${name}: ${fix}`);
}

/**
 * What the account lacks to be of use, as `list nodes`; undefined if the API server does not let us ask.
 * @param withinMs what is lacking is asked for again until this is over.
 */
export async function missingRights(
  { api, host: { clock } }: { readonly api: KubeApi; readonly host: Pick<Host, "clock"> },
  account: ReaderAccount,
  withinMs: number,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const givenUpAtMs = clock.elapsedMs() + withinMs;
  try {
    let missing = await rightsNot(api, account, RIGHTS, signal);
    while (missing.length > 0 && clock.elapsedMs() < givenUpAtMs) {
      await new Promise<void>((resolve) => clock.after(AGAIN_EVERY_MS, resolve));
      missing = await rightsNot(api, account, missing, signal);
    }
    return missing.map(nameOf);
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.code === "denied") return undefined;
    throw thrown;
  }
}

async function rightsNot(
  api: KubeApi,
  account: ReaderAccount,
  rights: readonly Right[],
  signal: AbortSignal,
): Promise<readonly Right[]> {
  const missing: Right[] = [];
  for (const right of rights) if (!(await may(api, account, right, signal))) missing.push(right);
  return missing;
}

const nameOf = ({ type, verb }: Right): string => `${verb} ${type.plural}${type.group === "" ? "" : `.${type.group}`}`;

async function may(
  api: KubeApi,
  { namespace, name }: ReaderAccount,
  { type, verb }: Right,
  signal: AbortSignal,
): Promise<boolean> {
  const group = "authorization.k8s.io";
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"];
  const resourceAttributes = { group: type.group, resource: type.plural, verb };
  const spec = { user: `system:serviceaccount:${namespace}:${name}`, groups, resourceAttributes };
  const body = { apiVersion: `${group}/v1`, kind: "SubjectAccessReview", spec };
  const answer = await api.call({ method: "POST", path: `/apis/${group}/v1/subjectaccessreviews`, body }, signal);
  const { status } = answer as { readonly status?: { readonly allowed?: unknown } };
  return status?.allowed === true;
}
