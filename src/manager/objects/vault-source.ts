import { describe, FieldError, isAbsent, textOf, type Fields } from "../../registry/kube/fields.ts";
import { rootsOf } from "../../registry/kube/ca-certificates.ts";
import { toPem } from "../../pem.ts";
import type { VaultAuth, VaultSpec } from "../policy.ts";
import { matchingText, objectNameOf, onlyOneOf, supportedFieldsOf } from "./read-fields.ts";

/** Of our own service account, where Kubernetes mounts it. */
export const TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token";

const [SEGMENT, V1] = ["[A-Za-z0-9_][A-Za-z0-9._-]*", "/?(?:v1/)?"];
const whole = (pattern: string): RegExp => new RegExp(`^${pattern}$`);
/** Where Vault makes an authority; guide 004 gives a role's path, from which the mount is taken. */
const CA_PATH = whole(
  `${V1}(?:${SEGMENT}/)+(?:root/sign-intermediate|issuer/${SEGMENT}/sign-intermediate|sign/${SEGMENT})/?`,
);
const ROLE_PATH = whole(`${V1}(?:${SEGMENT}/)+roles/${SEGMENT}/?`);
const MOUNT = whole(`(?:/?v1/auth/|auth/)?${SEGMENT}(?:/${SEGMENT})*/?`);
const NAMESPACE = whole(`${SEGMENT}(?:/${SEGMENT})*/?`);
const ROLE = whole(SEGMENT);
/** No segment is `.` or `..`. */
const ABSOLUTE = whole("(?:/\\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*)+");
const PORT = "[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]";
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
/** Without TLS only on this machine, as in a lab: a token would be anybody's on the way. */
const SERVER = whole(
  `(?:https://(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9A-Fa-f:.]+\\])|http://(?:127\\.0\\.0\\.1|localhost|\\[::1\\]))(?::(?:${PORT}))?/?`,
);

const FIELDS = [
  "server",
  "namespace",
  "caPath",
  "rolePath",
  "caBundle",
  "caSecretRef",
  "authMethod",
  "kubernetesAuth",
  "tokenSecretRef",
];
const UNSUPPORTED = {
  csrPath: "Vault would make the key, and it would travel; each cluster makes its own, so leave it out",
  caLocalPath: "give the certificate in caBundle, or a Secret with it in caSecretRef",
};

/** @param namespace of the object that says it. @throws FieldError */
export function vaultSourceOf(value: unknown, field: string, namespace: string): VaultSpec {
  const fields = supportedFieldsOf(value, field, FIELDS, UNSUPPORTED);
  if (!isAbsent(fields["caBundle"]) && !isAbsent(fields["caSecretRef"]))
    throw new FieldError(field, "has caBundle and caSecretRef; keep one of them");
  return {
    kind: "vault",
    server: serverOf(fields["server"], `${field}.server`),
    vaultNamespace: optionalText(fields["namespace"], `${field}.namespace`, NAMESPACE, "give a namespace of Vault"),
    caPath: matchingText(fields["caPath"], `${field}.caPath`, CA_PATH, 512, CA_PATH_FIX),
    rolePath: optionalText(
      fields["rolePath"],
      `${field}.rolePath`,
      ROLE_PATH,
      "give <mount>/roles/<role>, or leave it out",
    ),
    caBundle: isAbsent(fields["caBundle"]) ? undefined : bundleOf(fields["caBundle"], `${field}.caBundle`),
    caBundleSecret: isAbsent(fields["caSecretRef"])
      ? undefined
      : objectNameOf(fields["caSecretRef"], `${field}.caSecretRef`, namespace),
    auth: authOf(fields, field, namespace),
  };
}

function serverOf(value: unknown, field: string): string {
  const text = matchingText(value, field, SERVER, 512, "give https://host:port, and nothing behind it");
  if (!URL.canParse(text)) throw new FieldError(field, `is ${describe(text)}, which is no URL; give https://host:port`);
  return new URL(text).origin;
}

const PEM_CHARS_MAX = 64 * 1024;
const CA_PATH_FIX = "give <mount>/root/sign-intermediate, or <mount>/issuer/<name>/sign-intermediate";

function optionalText(value: unknown, field: string, pattern: RegExp, fix: string): string {
  return isAbsent(value) ? "" : matchingText(value, field, pattern, 512, fix);
}

/** PEM, or PEM in base64, as it is where a field holds bytes. */
function bundleOf(value: unknown, field: string): string {
  const text = textOf(value, field, PEM_CHARS_MAX);
  const pem = /^[A-Za-z0-9+/=\s]+$/.test(text) ? Buffer.from(text, "base64").toString("latin1") : text;
  return rootsOf(pem, field)
    .map((root) => toPem("CERTIFICATE", root))
    .join("");
}

function authOf(fields: Fields, field: string, namespace: string): VaultAuth {
  const which = onlyOneOf(fields, field, ["authMethod", "kubernetesAuth", "tokenSecretRef"]);
  const path = `${field}.${which}`;
  if (which === "tokenSecretRef") return { kind: "token", secret: objectNameOf(fields[which], path, namespace) };
  if (which === "kubernetesAuth") return kubernetesAuthOf(fields[which], path);
  const { kubernetes } = supportedFieldsOf(fields[which], path, ["kubernetes"]);
  return kubernetesAuthOf(kubernetes, `${path}.kubernetes`);
}

const OWN_ACCOUNT = "the manager logs in with the token of its own service account; leave it out";

function kubernetesAuthOf(value: unknown, field: string): VaultAuth {
  const { mountPath, role, mountedSaPath } = supportedFieldsOf(value, field, ["mountPath", "role", "mountedSaPath"], {
    secretTokenKey: OWN_ACCOUNT,
    serviceAccountRef: OWN_ACCOUNT,
  });
  const mount = optionalText(mountPath, `${field}.mountPath`, MOUNT, "give the auth method's mount, as kubernetes");
  const file = "give an absolute path, or leave it out for the one that Kubernetes mounts";
  return {
    kind: "kubernetes",
    mountPath: mount.replace(/^(\/?v1\/auth\/|auth\/)|\/$/g, "") || "kubernetes",
    role: matchingText(role, `${field}.role`, ROLE, 256, "give the role of Vault that the manager logs in as"),
    tokenFile: optionalText(mountedSaPath, `${field}.mountedSaPath`, ABSOLUTE, file) || TOKEN_FILE,
  };
}
