import { readFile } from "node:fs/promises";
import type { IdGenerator, Sampler, SpanExporter } from "@opentelemetry/sdk-trace-base";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { NamedFile, TraceConfig } from "../trace-config.ts";
import { VERSION } from "../version.ts";
import { ChangeTraces } from "./change-traces.ts";
import { SpanBatches } from "./span-batches.ts";
import type { Spans } from "./spans.ts";

export interface Traces {
  readonly changes: ChangeTraces;
  /** Sends what there is, as far as the collector takes it within some seconds. */
  close(): Promise<void>;
}

/**
 * ⇄ Follows changes for a collector. OpenTelemetry's libraries are loaded here, and only here.
 * @throws MeshError `invalid` for a file that a variable names and that cannot be read.
 */
export async function openTraces(host: Host, config: TraceConfig, cluster: ClusterId): Promise<Traces> {
  const sdk = await import("@opentelemetry/sdk-trace-base");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const provider = new sdk.BasicTracerProvider({
    sampler: samplerOf(sdk, config),
    idGenerator: idsOf(host),
    resource: resourceFromAttributes({
      ...config.resource,
      "service.name": config.serviceName,
      "service.version": VERSION,
      "causeway.cluster": cluster,
    }),
    spanProcessors: [new SpanBatches(host, await exporterOf(config))],
  });
  const changes = new ChangeTraces(host, await spansOf(provider), cluster);
  return {
    changes,
    close: async () => {
      changes.close();
      await provider.shutdown();
    },
  };
}

async function exporterOf({ url, protocol, headers, timeoutMs, compression, tls }: TraceConfig): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === "http/json"
      ? await import("@opentelemetry/exporter-trace-otlp-http")
      : await import("@opentelemetry/exporter-trace-otlp-proto");
  type Options = NonNullable<ConstructorParameters<typeof OTLPTraceExporter>[0]>;
  const files = Object.entries(tls).map(async ([key, file]) => [key, await contentOf(file)] as const);
  return new OTLPTraceExporter({
    url,
    headers: { ...headers },
    timeoutMillis: timeoutMs,
    compression: compression as string as NonNullable<Options["compression"]>,
    httpAgentOptions: { keepAlive: true, ...Object.fromEntries(await Promise.all(files)) },
  });
}

async function contentOf({ variable, path }: NamedFile): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (thrown) {
    throw new MeshError("invalid", `${variable} names ${path}, which cannot be read: ${messageOf(thrown)}`);
  }
}

type Sdk = typeof import("@opentelemetry/sdk-trace-base");

function samplerOf(sdk: Sdk, { sampler, ratio }: TraceConfig): Sampler {
  const kind = sampler.replace(/^parentbased_/, "");
  const ofRatio = kind === "always_on" ? 1 : kind === "always_off" ? 0 : ratio;
  const root = new sdk.TraceIdRatioBasedSampler(ofRatio);
  return sampler.startsWith("parentbased_") ? new sdk.ParentBasedSampler({ root }) : root;
}

const idsOf = ({ random }: Host): IdGenerator => ({
  generateTraceId: () => Buffer.from(random.bytes(16)).toString("hex"),
  generateSpanId: () => Buffer.from(random.bytes(8)).toString("hex"),
});

async function spansOf(provider: InstanceType<Sdk["BasicTracerProvider"]>): Promise<Spans> {
  const { ROOT_CONTEXT, trace } = await import("@opentelemetry/api");
  const tracer = provider.getTracer("causeway", VERSION);
  return {
    begin(name, atMs, facts, parent) {
      const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, contextIn(parent));
      const span = tracer.startSpan(name, { startTime: timeOf(atMs), attributes: facts }, context);
      if (!span.isRecording()) return undefined;
      const { traceId, spanId } = span.spanContext();
      return {
        traceparent: `00-${traceId}-${spanId}-01`,
        note: (event, eventMs, eventFacts) => void span.addEvent(event, eventFacts, timeOf(eventMs)),
        end: (endMs, endFacts = {}) => span.setAttributes(endFacts).end(timeOf(endMs)),
      };
    },
  };
}

/** Of a traceparent, which is one. */
function contextIn(traceparent: string) {
  const [, traceId = "", spanId = "", flags = "0"] = traceparent.split("-");
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/** As seconds and nanoseconds: a number may mean something else to the library, if it is small. */
const timeOf = (atMs: EpochMs): [number, number] => {
  const seconds = Math.floor(atMs / 1000);
  return [seconds, Math.round((atMs - seconds * 1000) * 1e6)];
};
