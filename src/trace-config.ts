import type { Environment } from "./command.ts";
import { UsageError } from "./command.ts";

const DEFAULT_ENDPOINT = "http://localhost:4318";
/** OpenTelemetry's own default, for one batch with all its retries. */
const TIMEOUT_MS = 10_000;
const TIMEOUT_MS_MAX = 600_000;

/** Those that OpenTelemetry has for all signals, and again for traces alone; the latter count first. */
const OF_EXPORTERS = [
  "ENDPOINT",
  "PROTOCOL",
  "HEADERS",
  "TIMEOUT",
  "COMPRESSION",
  "CERTIFICATE",
  "CLIENT_CERTIFICATE",
  "CLIENT_KEY",
] as const;
type OfExporters = (typeof OF_EXPORTERS)[number];

/** Those of OpenTelemetry that count here (docs/tracing.md). */
export const TRACE_VARIABLES: readonly string[] = [
  "OTEL_SDK_DISABLED",
  "OTEL_TRACES_EXPORTER",
  ...OF_EXPORTERS.flatMap((what) => [`OTEL_EXPORTER_OTLP_${what}`, `OTEL_EXPORTER_OTLP_TRACES_${what}`]),
  "OTEL_SERVICE_NAME",
  "OTEL_RESOURCE_ATTRIBUTES",
  "OTEL_TRACES_SAMPLER",
  "OTEL_TRACES_SAMPLER_ARG",
];

const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

const PROTOCOLS = ["http/protobuf", "http/json"] as const;
const COMPRESSIONS = ["none", "gzip"] as const;

/** A file that a variable names. */
export interface NamedFile {
  readonly variable: string;
  readonly path: string;
}

/** Where traces go, and which. */
export interface TraceConfig {
  readonly url: string;
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly headers: Readonly<Record<string, string>>;
  /** For one batch with all its retries. */
  readonly timeoutMs: number;
  readonly compression: (typeof COMPRESSIONS)[number];
  /** PEM: what the collector is verified by, and what we show to it. */
  readonly tls: Readonly<Partial<Record<"ca" | "cert" | "key", NamedFile>>>;
  readonly serviceName: string;
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: (typeof SAMPLERS)[number];
  /** Of the traces that begin here, from 0 to 1; for samplers by ratio. */
  readonly ratio: number;
}

/** A variable with what it says; "" if it is not set. */
interface Setting {
  readonly name: string;
  readonly text: string;
}

/** @returns undefined unless traces are asked for. @throws UsageError naming the variable, and what would be right. */
export function traceConfig(environment: Environment): TraceConfig | undefined {
  const read = (name: string): Setting => ({ name, text: environment[name]?.trim() ?? "" });
  const ofExporter = (what: OfExporters): Setting => {
    const own = read(`OTEL_EXPORTER_OTLP_TRACES_${what}`);
    return own.text === "" ? read(`OTEL_EXPORTER_OTLP_${what}`) : own;
  };
  const exporter = read("OTEL_TRACES_EXPORTER");
  if (exporter.text === "" || exporter.text === "none") return undefined;
  oneOf(exporter, ["otlp", "none"]);
  if (read("OTEL_SDK_DISABLED").text.toLowerCase() === "true") return undefined;
  const resource = pairsOf(read("OTEL_RESOURCE_ATTRIBUTES"));
  return {
    url: urlOf(ofExporter("ENDPOINT")),
    protocol: protocolOf(ofExporter("PROTOCOL")),
    headers: { ...pairsOf(read("OTEL_EXPORTER_OTLP_HEADERS")), ...pairsOf(read("OTEL_EXPORTER_OTLP_TRACES_HEADERS")) },
    timeoutMs: timeoutOf(ofExporter("TIMEOUT")),
    compression: oneOf(orElse(ofExporter("COMPRESSION"), "none"), COMPRESSIONS),
    tls: {
      ...fileAs("ca", ofExporter("CERTIFICATE")),
      ...fileAs("cert", ofExporter("CLIENT_CERTIFICATE")),
      ...fileAs("key", ofExporter("CLIENT_KEY")),
    },
    serviceName: read("OTEL_SERVICE_NAME").text || (resource["service.name"] ?? "causeway"),
    resource,
    sampler: oneOf(orElse(read("OTEL_TRACES_SAMPLER"), "parentbased_always_on"), SAMPLERS),
    ratio: ratioOf(orElse(read("OTEL_TRACES_SAMPLER_ARG"), "1")),
  };
}

const orElse = ({ name, text }: Setting, value: string): Setting => ({ name, text: text || value });

const fileAs = <K extends string>(key: K, { name, text }: Setting): Partial<Record<K, NamedFile>> =>
  text === "" ? {} : ({ [key]: { variable: name, path: text } } as Record<K, NamedFile>);

function urlOf({ name, text: given }: Setting): string {
  const exact = name.includes("_TRACES_");
  const text = exact ? given : `${(given || DEFAULT_ENDPOINT).replace(/\/$/, "")}/v1/traces`;
  if (URL.canParse(text) && /^https?:/.test(text)) return text;
  throw new UsageError(`${name} must be a URL that begins with http:// or https://, as ${DEFAULT_ENDPOINT}`);
}

function protocolOf(setting: Setting): TraceConfig["protocol"] {
  const { name, text } = orElse(setting, "http/protobuf");
  if (text !== "grpc") return oneOf({ name, text }, PROTOCOLS);
  throw new UsageError(
    `${name} is "grpc", which is not built in: set it to http/protobuf, and OTEL_EXPORTER_OTLP_ENDPOINT to the ` +
      `collector's port for HTTP, which is 4318 unless it was changed, as ${DEFAULT_ENDPOINT}`,
  );
}

function timeoutOf({ name, text }: Setting): number {
  if (text === "") return TIMEOUT_MS;
  const timeoutMs = Number(text);
  if (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs;
  throw new UsageError(`${name} is "${text}"; it must be a number of milliseconds from 1 to ${TIMEOUT_MS_MAX}`);
}

function ratioOf({ name, text }: Setting): number {
  const ratio = Number(text);
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw new UsageError(`${name} is "${text}"; it must be a number from 0 to 1`);
}

function oneOf<T extends string>({ name, text }: Setting, known: readonly T[]): T {
  const found = known.find((each) => each === text);
  if (found === undefined) throw new UsageError(`${name} is "${text}"; it must be one of ${known.join(", ")}`);
  return found;
}

/** As `a=1,b=2`, with percent signs as in URLs; what is in it may be secret, and is in no error. */
function pairsOf({ name, text }: Setting): Readonly<Record<string, string>> {
  const pairs = text.split(",").filter((pair) => pair.trim() !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
      if (key === undefined || value === undefined)
        throw new UsageError(`${name} must be pairs as name=value, with commas between them`);
      return [key, decoded(name, value)];
    }),
  );
}

function decoded(name: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`${name} has a percent sign that encodes nothing; write %25 for one`);
  }
}
