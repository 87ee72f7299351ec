import { MeshError } from "../../errors.ts";
import type { KubeObject } from "../../kube/object.ts";
import { printable } from "../../printable.ts";
import { parseYamlDocument } from "../../yaml-document.ts";
import type { JwtRule } from "../../jwt-rule.ts";
import type { MeshConfig } from "../model/mesh.ts";
import {
  type CaCertificate,
  caCertificatesOf,
  trustDomainOf,
  trustDomainsOf,
  whyTrustedByNobody,
} from "./ca-certificates.ts";
import { describe, FieldError, type Fields, fieldsOf, isAbsent, textOf } from "./fields.ts";
import { canonicalField, idleField, isForEnvoy, USED_FIELDS } from "./mesh-config-fields.ts";
import { jwtRulesOf } from "./jwt-rules.ts";
import { serviceScopeRulesOf } from "./service-scope.ts";

/** What the ConfigMap of a mesh says; undefined where it says nothing. */
export interface DeclaredMesh extends MeshConfig {
  readonly trustDomain: string | undefined;
  readonly rootNamespace: string | undefined;
  readonly trustDomainAliases: readonly string[];
  readonly caCertificates: readonly CaCertificate[];
  /** A field of ours: istiod has one rule, in a variable. */
  readonly jwtRules: readonly JwtRule[];
}

/** One ConfigMap, read. */
export interface MeshConfigReading {
  readonly config: DeclaredMesh;
  /** What of it counts, as it was written: `meshOf` takes those of several ConfigMaps, one over the other. */
  readonly fields: Fields;
  /** Fields of Istio's that mean nothing to ztunnels. */
  readonly notes: readonly string[];
  /** Fields whose author expects something that does not happen. */
  readonly warnings: readonly MeshConfigWarning[];
}

export interface MeshConfigWarning {
  readonly field: string;
  /** What follows the name of the field in a sentence. */
  readonly message: string;
}

/** An API server stores no ConfigMap that is larger. */
const BYTES_MAX = 1024 * 1024;
/** Of unknown fields; what has more of them is no mesh config. */
const WARNINGS_MAX = 50;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads a whole ConfigMap, or nothing of it (contract operations.md 4.4 no. 29).
 * @throws FieldError naming the first field that is wrong, and what would be right.
 */
export function readMeshConfig(configMap: KubeObject): MeshConfigReading {
  const data = fieldsOf(configMap["data"], "data");
  const fields = fieldsIn(data["mesh"], "mesh");
  const used: readonly string[] = USED_FIELDS;
  const unused = Object.keys(fields).filter((name) => !used.includes(name));
  const idle = unused.filter((name) => !isForEnvoy(name)).slice(0, WARNINGS_MAX);
  const config = meshOf(fields);
  return {
    config,
    fields: Object.fromEntries(used.flatMap((name) => (isAbsent(fields[name]) ? [] : [[name, fields[name]]]))),
    notes: unused.filter(isForEnvoy).sort(),
    warnings: [
      ...idle.map((name) => ({ field: `mesh.${printable(name, 80)}`, message: idleField(name) })),
      ...withoutEffect(config),
      ...networksWarning(data["meshNetworks"]),
    ],
  };
}

/** @throws FieldError */
export function meshOf(fields: Fields): DeclaredMesh {
  const { trustDomain, rootNamespace, trustDomainAliases, caCertificates, jwtRules, serviceScopeConfigs } = fields;
  return {
    trustDomain: isAbsent(trustDomain) ? undefined : trustDomainOf(trustDomain, "mesh.trustDomain"),
    rootNamespace: isAbsent(rootNamespace) ? undefined : namespaceOf(rootNamespace, "mesh.rootNamespace"),
    trustDomainAliases: trustDomainsOf(trustDomainAliases, "mesh.trustDomainAliases"),
    caCertificates: caCertificatesOf(caCertificates, "mesh.caCertificates"),
    jwtRules: jwtRulesOf(jwtRules, "mesh.jwtRules"),
    serviceScopeConfigs: serviceScopeRulesOf(serviceScopeConfigs, "mesh.serviceScopeConfigs"),
  };
}

/** A key that is missing is no config: the ConfigMap is another's, or half written. */
function fieldsIn(value: unknown, key: string): Fields {
  if (isAbsent(value)) throw new FieldError(`data.${key}`, `is missing; it holds the mesh config as YAML`);
  const text = textOf(value, `data.${key}`, BYTES_MAX);
  const fields = new Map<string, unknown>();
  for (const [name, inner] of Object.entries(fieldsOf(yamlOf(text, `data.${key}`), key))) {
    const canonical = canonicalField(name);
    if (fields.has(canonical))
      throw new FieldError(`${key}.${canonical}`, `is there twice, once as ${describe(name)}; keep one of the two`);
    fields.set(canonical, inner);
  }
  return Object.fromEntries(fields);
}

function yamlOf(text: string, field: string): unknown {
  try {
    return parseYamlDocument(text, "its YAML", BYTES_MAX).value;
  } catch (thrown) {
    if (!(thrown instanceof MeshError)) throw thrown;
    throw new FieldError(field, `cannot be read: ${thrown.message}`);
  }
}

function namespaceOf(value: unknown, field: string): string {
  const text = textOf(value, field);
  if (NAMESPACE.test(text)) return text;
  throw new FieldError(field, `is ${describe(text)}; give the name of a namespace, or leave the field out`);
}

function withoutEffect({ trustDomainAliases, caCertificates }: DeclaredMesh): MeshConfigWarning[] {
  const aliases = "do not widen what ztunnels allow, just as with istiod: name every trust domain in the policies";
  return [
    ...(trustDomainAliases.length > 0 ? [{ field: "mesh.trustDomainAliases", message: aliases }] : []),
    ...caCertificates.flatMap((certificate, at) => {
      const message = whyTrustedByNobody(certificate);
      return message === undefined ? [] : [{ field: `mesh.caCertificates[${at}]`, message }];
    }),
  ];
}

/** istiod's chart always writes the key, without networks. */
function networksWarning(value: unknown): MeshConfigWarning[] {
  const message =
    "has no effect: what network a cluster is on says the label topology.istio.io/network of its system namespace, and " +
    "its gateways are Gateways with that label";
  try {
    const { networks } = fieldsOf(
      isAbsent(value) ? undefined : yamlOf(String(value), "data.meshNetworks"),
      "meshNetworks",
    );
    return Object.keys(fieldsOf(networks, "networks")).length === 0 ? [] : [{ field: "data.meshNetworks", message }];
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return [{ field: "data.meshNetworks", message }];
  }
}
