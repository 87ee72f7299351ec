import { isFields } from "../kube/fields.ts";
import type { KubeMetadata, KubeObject } from "../kube/object.ts";
import { DRAIN_UNTIL } from "../registry/kube/peering-annotations.ts";
import { writersOf } from "./annotation-writer.ts";
import { isMeshPod } from "./mesh-pods.ts";
import { reducedSecret } from "./secret-facts.ts";

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const TOKEN = /\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+/g;
const SECRET_NAME = /TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|API_?KEY|LICENSE/i;
const DEPTH_MAX = 100;

/** Objects as facts hold them: no key, no token, and none of what only takes room. */
export function reducedObject(object: KubeObject): KubeObject {
  const kept = object.kind === "Secret" ? reducedSecret(object) : reducedBody(object);
  return withoutSecrets({ ...kept, metadata: reducedMetadata(kept.metadata) }) as KubeObject;
}

/** A value in which no text holds a private key or a token any more. */
export function withoutSecrets(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return withoutSecretText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > DEPTH_MAX) return null;
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutSecrets(item, depth + 1)]));
}

export function withoutSecretText(text: string): string {
  if (!text.includes("PRIVATE KEY-----") && !text.includes("eyJ")) return text;
  return text.replace(PRIVATE_KEY, "(private key left out)").replace(TOKEN, "(token left out)");
}

function reducedMetadata(metadata: KubeMetadata): KubeMetadata {
  const { managedFields, annotations, ...rest } = metadata;
  if (annotations === undefined) return rest as KubeMetadata;
  // It repeats the object, a Secret's data included.
  const { [LAST_APPLIED]: _, ...others } = annotations;
  const writers = others[DRAIN_UNTIL] === undefined ? undefined : writersOf(managedFields, DRAIN_UNTIL);
  return { ...(rest as KubeMetadata), annotations: others, ...(writers && { managedFields: writers }) };
}

function reducedBody(object: KubeObject): KubeObject {
  if (object.kind === "Pod") return reducedPod(object);
  if (object.kind !== "Node" || !isFields(object["status"])) return object;
  const { images: _, ...status } = object["status"];
  return { ...object, status };
}

/** What applications are told in their environment is theirs; ours is what is looked at. */
function reducedPod(pod: KubeObject): KubeObject {
  const spec = pod["spec"];
  if (!isFields(spec)) return pod;
  const ours = isMeshPod(pod);
  const reduce = (list: unknown): unknown =>
    Array.isArray(list) ? (list as readonly unknown[]).map((container) => reducedContainer(container, ours)) : list;
  const containers = ["containers", "initContainers", "ephemeralContainers"].filter((field) => field in spec);
  return { ...pod, spec: { ...spec, ...Object.fromEntries(containers.map((field) => [field, reduce(spec[field])])) } };
}

function reducedContainer(container: unknown, ours: boolean): unknown {
  if (!isFields(container)) return container;
  const { env, envFrom, command, args, ...rest } = container;
  if (!ours) return rest;
  const variables = Array.isArray(env) ? (env as readonly unknown[]).map(reducedVariable) : undefined;
  return {
    ...rest,
    ...(command !== undefined && { command }),
    ...(args !== undefined && { args }),
    ...(envFrom !== undefined && { envFrom }),
    ...(variables !== undefined && { env: variables }),
  };
}

function reducedVariable(variable: unknown): unknown {
  if (!isFields(variable) || !SECRET_NAME.test(String(variable["name"])) || !("value" in variable)) return variable;
  return { ...variable, value: "(left out)" };
}
