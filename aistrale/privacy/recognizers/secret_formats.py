"""The formats of secrets that name their issuer: what a token begins with, what follows and how much of it.

From the issuers' own documentation and the tokens that they hand out. Issuers lengthen their tokens every few years, so
a row tells the least length, and what follows is taken as far as it goes.
"""

from __future__ import annotations

from typing import Final

CLASSES: Final = {
    "a": "[A-Za-z0-9]",
    "b": "[A-Za-z0-9+/=_-]",
    "d": "[A-Za-z0-9_.-]",
    "g": "[0-9A-Fa-f-]",
    "h": "[0-9A-Fa-f]",
    "j": "[A-Za-z0-9_.=-]",
    "l": "[a-z0-9]",
    "n": "[0-9]",
    "p": "[A-Za-z0-9%_.+/=-]",
    "u": "[A-Z0-9]",
    "w": "[A-Za-z0-9_-]",
    "x": "[A-Za-z0-9_]",
}
"""The letters that rows name sets of characters by."""

# A row: prefixes, then the set of what follows and its least length. What comes after a # is whose it is.
PREFIXED: Final = """
# Code hosting and continuous integration
ghp_ gho_ ghu_ ghs_ ghr_ j30                                    # GitHub
github_pat_ x50                                                 # GitHub, fine-grained
glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat- glffct- gloas- glrtr- glwt- d18       # GitLab
GR1348941 w18                                                   # GitLab, runner registration
ATBB a24                                                        # Bitbucket, app password
BBDC- b40                                                       # Bitbucket, data center
ATATT3 ATCTT3 ATSTT3 p60                                        # Atlassian
CCIPAT_ CCIPRJ_ w40                                             # CircleCI
bkua_ bkct_ h40                                                 # Buildkite
sqp_ squ_ sqa_ h40                                              # SonarQube
sgp_ x36                                                        # Sourcegraph, Segment
slk_ h64                                                        # Sourcegraph
sgd_ sgs_ sgph_ x40                                             # Sourcegraph
sntrys_ b60                                                     # Sentry, organisation
sntryu_ sntrya_ h60                                             # Sentry, user
dckr_pat_ dckr_oat_ w24                                         # Docker Hub
SWMTKN-1- SWMKEY-1- w40                                         # Docker Swarm
CLOJARS_ a60                                                    # Clojars
npm_ a36                                                        # npm
pypi-AgE w60                                                    # PyPI
rubygems_ h48                                                   # RubyGems
oy2 l43                                                         # NuGet
cio a32                                                         # crates.io
hawk. d38                                                       # StackHawk
API- u24                                                        # Octopus Deploy
odt_ BBFF- BBUS- a28                                            # Dependency-Track, Ubidots
snyk_sat. snyk_uat. d40                                         # Snyk
semgrep_ sgp- h40                                               # Semgrep
nfp_ nfc_ nfo_ nfb_ nfu_ a36                                    # Netlify
vcp_ vci_ vca_ vcr_ vck_ a24                                    # Vercel
rnd_ a28                                                        # Render
fm1_ fm2_ fm1r_ fm1a_ b80                                       # Fly.io
HRKU- w36                                                       # Heroku
cosmo_ h32                                                      # WunderGraph
pnu_ pnb_ a36                                                   # Prefect
pul- h40                                                        # Pulumi
tfp_ w36                                                        # Typeform
tskey- w16                                                      # Tailscale
dnkey- w40                                                      # Defined Networking
hvs. hvb. hvr. w24                                              # HashiCorp Vault
AGE-SECRET-KEY-1 u58                                            # age
age1 l58                                                        # age, recipients
ops_eyJ b80                                                     # 1Password service account
dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit. d40              # Doppler
akab- w30                                                       # Akamai
duffel_test_ duffel_live_ w40                                   # Duffel
sha256~ w40                                                     # OpenShift
ion_ a40                                                        # Ionic
rdme_ l60                                                       # ReadMe
lin_api_ lin_oauth_ a32                                         # Linear
figd_ figu_ figor_ w38                                          # Figma
fio-u- w60                                                      # Frame.io
ntn_ a40                                                        # Notion
secret_ a43                                                     # Notion, older
PMAK- w50                                                       # Postman
PMAT- u26                                                       # Postman
shippo_live_ shippo_test_ h40                                   # Shippo
EZTK EZAK a54                                                   # EasyPost
shltm_ shltm- w36                                               # Flexport
patat_ w40                                                      # Airtable
CFPAT- w43                                                      # Contentful
tkn.v1_ b40                                                     # Teamwork
key- l32                                                        # Mailgun
SG. d40                                                         # SendGrid
re_ x30                                                         # Resend
mlsn. h60                                                       # MailerSend
NRAK- NRII- NRIQ- NRJS- NRAL- NRSP- NRRA- NRAA- NRBR- w19       # New Relic
glc_ glsa_ b32                                                  # Grafana
dt0c01. dt0s01. dt0s02. dt0s03. dt0s04. dt0s06. dt0s08. dt0s16. d60      # Dynatrace
ddapp_ ddp_ ddpat_ a32                                          # Datadog
phc_ phx_ phr_ phs_ a40                                         # PostHog
hcaik_ hcamk_ hcbik_ hcxik_ a40                                 # Honeycomb
logfire_ pylf_v1_ w36                                           # Logfire
sl. w60                                                         # Dropbox
EAAA a60                                                        # Square, Facebook
EAAB EAAC EAAD EAAE EAAF EAAG EAAH EAAI EAAJ EAAK EAAL EAAM EAAN EAAO a60                               # Facebook
IGQV IGAA w60                                                   # Instagram
sq0atp- sq0csp- sq0idp- sq0idb- sq0sws- w20                     # Square
sandbox-sq0atb- sandbox-sq0csb- sandbox-sq0idb- sandbox-sq0idp- w20      # Square
sk_live_ rk_live_ pk_live_ sk_test_ rk_test_ pk_test_ a14       # Stripe
sk_prod_ rk_prod_ pk_prod_ ak_live_ ak_test_ a14                # Stripe, Pagar.me, Courier
sk_org_ ek_live_ ek_test_ a20                                   # Stripe
whsec_ b24                                                      # Stripe, Svix, Standard Webhooks
FLWSECK_TEST- FLWSECK- FLWPUBK_TEST- FLWPUBK- a12               # Flutterwave
rzp_live_ rzp_test_ a14                                         # Razorpay
pdl_live_ pdl_sdbx_ pdl_apikey_ x40                             # Paddle
polar_ x30                                                      # Polar
A21AA w60                                                       # PayPal
shpat_ shpca_ shppa_ shpss_ shpua_ shptka_ a30                  # Shopify
scp-live- scp-test- a30                                         # Scrapfly
PKT AKT u16                                                     # Alpaca
access-sandbox- access-development- access-production- w36      # Plaid
live_ x28                                                       # Twitch, GoCardless, Kickbox
test_ a28                                                 # GoCardless, Twitch, Kickbox
sk-ant- w24                                                     # Anthropic
sk-proj- sk-svcacct- sk-admin- sk-None- w24                     # OpenAI
sk-or-v1- h40                                                   # OpenRouter
sk-lf- pk-lf- w30                                               # Langfuse
sk-litellm- w20                                                 # LiteLLM
sk- w30                                                         # OpenAI, DeepSeek and what speaks like them
sess- a36                                                       # OpenAI
gsk_ a40                                                        # Groq
hf_ api_org_ a30                                                # Hugging Face
pplx- a40                                                       # Perplexity
xai- w60                                                        # xAI
r8_ a34                                                         # Replicate
tvly- w24                                                       # Tavily
fc- h30                                                         # Firecrawl
jina_ w40                                                       # Jina
llx- w40                                                        # LlamaCloud
lsv2_pt_ lsv2_sk_ ls__ w32                                      # LangSmith
pcsk_ w40                                                       # Pinecone
nvapi- w50                                                      # NVIDIA
fw_ a22                                                         # Fireworks
csk- l40                                                        # Cerebras
tgp_v1_ w40                                                     # Together
e2b_ h38                                                        # E2B
wandb_v1_ x40                                                   # Weights & Biases
sk_ h32                                                         # ElevenLabs
voy-al- pa- w40                                                 # Voyage
bedrock-api-key- ABSK b60                                       # Amazon Bedrock
AIza w35                                                        # Google API key
GOCSPX- w24                                                     # Google, OAuth client secret
ya29. w40                                                       # Google, OAuth access token
AKIA ASIA ABIA ACCA AGPA AROA AIPA AIDA ANPA ANVA u16           # AWS
A3T0 A3T1 A3T2 A3T3 A3T4 A3T5 A3T6 A3T7 A3T8 A3T9 A3TX u16      # AWS, older
amzn.mws. w36                                                   # Amazon MWS
amzn1.oa2-cs.v1. h60                                            # Login with Amazon
LTAI a16                                                        # Alibaba Cloud
AKID a32                                                        # Tencent Cloud
AQVN w35                                                        # Yandex Cloud
doo_v1_ dop_v1_ dor_v1_ h60                                     # DigitalOcean
cfat_ cfut_ cfk_ x36                                            # Cloudflare
SCW u17                                                         # Scaleway
ocid1. p60                                                      # Oracle Cloud
dapi doapi dkea dose dsap h32                                   # Databricks
pscale_tkn_ pscale_pw_ pscale_oauth_ d32                        # PlanetScale
mdb_sa_sk_ w40                                                  # MongoDB Atlas
sbp_ sb_secret_ sb_publishable_ x22                             # Supabase
napi_ neon_ l40                                                 # Neon
AVNS_ w18                                                       # Aiven
fnA w38                                                         # Fauna
xoxb- xoxa- xoxp- xoxr- xoxs- xoxo- xoxe- xoxc- xoxd- xoxe.xoxp- xoxe.xoxb- xapp- b14   # Slack
SK AC h32                                                       # Twilio
xwfp- w40                                                       # Slack
aio_ a28                                                        # Adafruit IO
zpka_ x30                                                       # Zuplo
unkey_ a22                                                      # Unkey
storecove_ supernotes_sk- supernotes_sk_ w30                    # Storecove, Supernotes
pk_ w20                                                         # ClickUp and others
sk. pk. tk. d60                                                 # Mapbox
3MVG9 d70                                                       # Salesforce, consumer key
5Aep861 w60                                                     # Salesforce, refresh token
apify_api_ a36                                                  # Apify
web_ server_ mobile_ h32                                        # dfuse
lmnr_ a40                                                       # Laminar
nylas_ nyk_ w40                                                 # Nylas
ATTA h60                                                        # Trello
SCT a28                                                         # ServerChan
VF.DM. VF.WS. d30                                               # Voiceflow
na1. eu1. b60                                                   # FullStory
SUA SCA SOA SUAM SNA SXA u50                                    # NATS seeds
AKC AP b60                                                      # Artifactory
cmVmdGtuO b40                                                   # Artifactory, reference token
eyJr b60                                                        # Grafana
px-api- px-dep- g36                                             # Pixie
launchdarkly-private- sdk- mob- rel- api- g36                   # LaunchDarkly
pat-na1- pat-eu1- pat-na2- pat-ap1- g36                         # HubSpot
AAAAAAAAAAAAAAAAAAAAA p50                                       # X, bearer token
sub-c- pub-c- sec-c- w36                                        # PubNub
xkeysib- xsmtpsib- w60                                          # Brevo
NF- h32                                                         # Nightfall
MLY| d40                                                        # Mapillary
v1.0- g100                                                      # Cloudflare, origin CA
xau_ a30                                                        # Xata
"""

# What a row cannot say: whole expressions. A token is tried where it begins with one of the pairs of letters; "00"
# stands for any two digits.
SHAPED: Final = (
    ("00", r"\d{8,10}:(?:AA[A-Za-z0-9_-]{32,34}|[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])"),  # Telegram, bot
    ("00", r"\d{13,17}\|[A-Za-z0-9_-]{24,30}"),  # Facebook, app
    ("00", r"[012]/\d{12,16}(?:/\d{12,16})?:[0-9a-f]{32}"),  # Asana
    ("00", r"1//0[A-Za-z0-9_-]{40,}"),  # Google, OAuth refresh token
    ("00", r"1000\.[0-9a-f]{32}\.[0-9a-f]{32}"),  # Zoho
    ("00", r"00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,200}"),  # Salesforce, session
    ("00", r"00(?![0-9a-f]{40}(?![A-Za-z0-9_-]))[A-Za-z0-9_-]{40}(?![A-Za-z0-9_-])"),  # Okta
    ("00", r"\d{6,16}-[0-9a-z]{32}\.apps\.googleusercontent\.com"),  # Google, OAuth client
    ("00", r"\d{1,4}-[A-Za-z0-9]{64}(?![A-Za-z0-9])"),  # TrueNAS
    ("pk", r"pk_\d{5,10}_[A-Z0-9]{24,40}"),  # ClickUp
    ("AA", r"AAAA[A-Za-z0-9_-]{7}:[A-Za-z0-9_-]{120,180}"),  # Firebase Cloud Messaging
    ("ac", r"access_token\$(?:production|sandbox)\$[0-9a-z]{10,24}\$[0-9a-f]{32}"),  # Braintree
    ("ho", r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/-]{20,160}"),
    ("ho", r"hooks\.zapier\.com/hooks/catch/[A-Za-z0-9]{3,24}(?:/[A-Za-z0-9]{5,24})?"),
    ("di", r"discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{17,20}/[A-Za-z0-9_-]{60,80}"),
    (
        "ou",
        r"outlook\.office(?:365)?\.com/webhook(?:b2)?/[0-9a-f@/-]{73,120}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36}",
    ),
    ("we", r"webhook\.office\.com/webhookb2/[0-9a-f@/-]{73,120}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36}"),
    ("FL", r"FLW(?:SEC|PUB)K(?:_TEST)?-[0-9a-zA-Z]{12,64}(?:-X)?"),  # Flutterwave
)
"""Pairs of letters, and what then stands there."""

MARKED: Final = (
    (".atlasv1.", r"[A-Za-z0-9]{10,16}\.atlasv1\.[A-Za-z0-9_=-]{50,90}"),  # Terraform Cloud
    ("Q~", r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),  # Microsoft Entra, client secret
    ("AAAAAAAAAA", r"[A-Za-z0-9]{11}AAAAAAAAAA[A-Za-z0-9_=-]{43}"),  # Dropbox, older
    ("AZDO", r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"),  # Azure DevOps
    ("JQQJ99", r"[A-Za-z0-9]{44,52}JQQJ99[A-Za-z0-9]{24,32}"),  # Azure AI services
    ("AIoT", r"[A-Za-z0-9+/]{33}AIoT[A-Za-z0-9+/]{5}[A-D][A-Za-z0-9]="),  # Azure IoT
    ("+ASt", r"[A-Za-z0-9+/]{76}\+ASt[A-Za-z0-9+/]{6}=="),  # Azure Storage
    ("AzSe", r"[A-Za-z0-9]{42}AzSe[A-D][A-Za-z0-9]{5}"),  # Azure AI Search
    ("AzFu", r"[A-Za-z0-9_-]{44}AzFu[A-Za-z0-9_-]{5}[AQgw]=?="),  # Azure Functions
    ("AzCa", r"[A-Za-z0-9]{33}AzCa[A-P][A-Za-z0-9]{5}="),  # Azure Cache for Redis
    ("+ACR", r"[A-Za-z0-9+/]{42}\+ACR[A-D][A-Za-z0-9]{5}"),  # Azure Container Registry
    ("NRAL", r"[0-9a-f]{36}NRAL"),  # New Relic, licence
    ("/api/v1/", r"(?<=/api/v1/)[A-Za-z0-9]{20}(?=/(?:telemetry|attributes|rpc|claim))"),  # ThingsBoard, device
    ("s-s4t2", r"s-s4t2(?:ud|af)-[0-9a-f]{64}"),  # 42, client secret
    ("_mmk", r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk"),  # MaxMind
    ("-us", r"[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9])"),  # Mailchimp
)
"""Marks in the middle or at the end of a token, and what stands around them."""
