"""The words of OpenTelemetry's semantic conventions for generative AI: names, values, buckets, in one place.

They are ours and not imported: the conventions have moved to a repository of their own, without packages of constants,
and every name in `opentelemetry-semantic-conventions` is deprecated. Source: semantic-conventions 1.41.1,
`docs/gen-ai`, and the renames that OpenTelemetry's own Python instrumentations (1.3b0) have made since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

SCOPE: Final = "aistrale"

# --- set when a span begins, since samplers read them ----------------------------------------------------------------

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# --- the request -----------------------------------------------------------------------------------------------------

CONVERSATION: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"
CHOICE_COUNT: Final = "gen_ai.request.choice.count"
SEED: Final = "gen_ai.request.seed"
STREAM: Final = "gen_ai.request.stream"
TOP_K: Final = "gen_ai.request.top_k"
TOP_P: Final = "gen_ai.request.top_p"
TEMPERATURE: Final = "gen_ai.request.temperature"
FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
COMPACTED: Final = "gen_ai.conversation.compacted"
PROMPT_NAME: Final = "gen_ai.prompt.name"
PROMPT_VERSION: Final = "gen_ai.prompt.version"
PREVIOUS_RESPONSE: Final = "gen_ai.request.previous_response.id"
ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
DIMENSIONS: Final = "gen_ai.embeddings.dimension.count"

# --- the answer ------------------------------------------------------------------------------------------------------

FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
ERROR_TYPE: Final = "error.type"

USAGE: Final = "gen_ai.usage."
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"

# --- content ---------------------------------------------------------------------------------------------------------

SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
EVALUATION_EVENT: Final = "gen_ai.evaluation.result"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE: Final = "gen_ai.evaluation.score.value"
EXCEPTION_EVENT: Final = "gen_ai.client.operation.exception"
EXCEPTION_TYPE: Final = "exception.type"

# --- steps of frameworks ---------------------------------------------------------------------------------------------

TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
AGENT_NAME: Final = "gen_ai.agent.name"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
QUERY_TEXT: Final = "gen_ai.retrieval.query.text"

# --- what only OpenAI has --------------------------------------------------------------------------------------------

OPENAI_API: Final = "openai.api.type"
OPENAI_REQUEST_TIER: Final = "openai.request.service_tier"
OPENAI_RESPONSE_TIER: Final = "openai.response.service_tier"
OPENAI_FINGERPRINT: Final = "openai.response.system_fingerprint"

# --- metrics ---------------------------------------------------------------------------------------------------------

DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - a metric
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - an attribute
TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
WORKFLOW_DURATION: Final = "gen_ai.invoke_workflow.duration"

SECONDS_BUCKETS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
TOKEN_BUCKETS: Final = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
)  # fmt: skip

AGENT_BUCKETS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
WORKFLOW_BUCKETS: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)

# --- ours: there are no conventions for attempts, routes and money ---------------------------------------------------

CALL_ID: Final = "aistrale.call.id"
CALL_NAME: Final = "aistrale.call.name"
ASKED: Final = "aistrale.call.model_asked"
ROUTE: Final = "aistrale.route"
TARGET: Final = "aistrale.target"
ATTEMPTS: Final = "aistrale.attempts"
ATTEMPT: Final = "aistrale.attempt.number"
RETRY_REASON: Final = "aistrale.retry.reason"
OUTCOME: Final = "aistrale.outcome"
STATUS: Final = "aistrale.http.status_code"
REQUEST_ID: Final = "aistrale.provider.request_id"
ESTIMATED: Final = "aistrale.usage.estimated"
COST: Final = "aistrale.cost.usd"
COST_REASON: Final = "aistrale.cost.reason"
DEGRADED: Final = "aistrale.degraded"
LOSSY: Final = "aistrale.lossy"
OPTIMIZED: Final = "aistrale.optimized"
USER: Final = "aistrale.user"
WORKSPACE: Final = "aistrale.workspace"
PROJECT: Final = "aistrale.project"
SESSION: Final = "aistrale.session"
TAG: Final = "aistrale.tag."
FRAMEWORK: Final = "aistrale.framework"
FUNCTION: Final = "aistrale.function"
RUN_ID: Final = "aistrale.run.id"
DOCUMENTS: Final = "aistrale.documents"
COUNTED_BY: Final = "aistrale.counted_by"
"""Who has counted the tokens of an attempt that another instrumentation stands around."""

# --- values ----------------------------------------------------------------------------------------------------------

Operation: TypeAlias = Literal["chat", "generate_content", "embeddings"]

# Hub words to what OpenTelemetry's own instrumentations write: OpenAI's as it is on the wire, Anthropic's in the words
# of the conventions where those have one, Gemini's name in lower case (its calls end with STOP).
FINISH_OPENAI: Final = {"pause": "incomplete", "unknown": "error"}
FINISH_ANTHROPIC: Final = {
    "tool_calls": "tool_call",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "unknown": "error",
}
FINISH_GEMINI: Final = {
    "tool_calls": "stop",
    "length": "max_tokens",
    "content_filter": "safety",
    "pause": "continuation",
    "error": "other",
    "unknown": "error",
}

# Providers by the name that users give them, where the conventions' name is another one.
PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "kimi": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
# The same by the host that is asked, which decides where a provider has several; tried in this order.
HOSTS: Final = (
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.inference"),
    (".amazonaws.com", "aws.bedrock"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.x.ai", "x_ai"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
)

Semconv: TypeAlias = Literal["1.37", "1.41", "latest"]


@dataclass(slots=True, frozen=True, kw_only=True)
class Profile:
    """Which version of the conventions is spoken.

    Args:
        name: As in the settings.
        schema_url: What spans and metrics say that they follow; None where no release has these names.
        details: Whether it has the token details, `stream`, the time to the first chunk and definitions of tools:
            1.41 and later.
        renamed: Whether it has the names that came after 1.41.
        cache_write: What tokens that were written to a cache are called.
    """

    name: Semconv
    schema_url: str | None
    details: bool
    renamed: bool
    cache_write: str


PROFILES: Final[dict[str, Profile]] = {
    "1.37": Profile(
        name="1.37",
        schema_url="https://opentelemetry.io/schemas/1.37.0",
        details=False,
        renamed=False,
        cache_write=CACHE_CREATION_TOKENS,
    ),
    "1.41": Profile(
        name="1.41",
        schema_url="https://opentelemetry.io/schemas/1.41.1",
        details=True,
        renamed=False,
        cache_write=CACHE_CREATION_TOKENS,
    ),
    "latest": Profile(name="latest", schema_url=None, details=True, renamed=True, cache_write=CACHE_WRITE_TOKENS),
}
