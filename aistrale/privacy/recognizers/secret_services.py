"""Names of services that hand out keys without a format of their own: a random value right after one is such a key."""

from __future__ import annotations

from typing import Final

_WORDS: Final = """
    abstract amazon apollo audd autopilot aws azure bored box brave brex close column commodities copper deputy ditto
    docker drip elastic enigma envoy eraser face fingerprint float front ftp gcp gemini geocode ghost github gitlab
    google groq guardian guru harness harvest heatmap here holistic host hunter ibm impala jdbc kanban karbon keen key
    knock kraken line loom magnetic mercury meta microsoft moderation monday nebula neptune nimble nitro noticeable npm
    nvidia oracle outreach particle percy phrase privacy pypi radar react recharge rev segment sentiment shortcut square
    streak superb swell together twist unify user vault verifier wise wit workday
"""

AMBIGUOUS: Final = frozenset(_WORDS.split())
"""Names that are words of every day too: only what can be nothing but random is taken for a key beside these."""

_NAMES: Final = """
    abstractapi abuseipdb abyssale accuweather aciton actionnetwork activecampaign adafruit adafruitio adobe adzuna
    aeroworkflow agora aha ahrefs airbrake airship airtable airvisual aiven alchemy alchemyapi aletheia algolia alibaba
    alienvault allsports alphavantage amadeus ambee amplitude amplitudeapikey anthropic anypoint apacta apiflash
    apifonica apify apilayer apimatic apimetrics apitemplate appcues appdynamics appfigures appfollow appointedd
    appoptics appsflyer appsynergy apptivo aqicn artifactory artsy asana assemblyai atera atlassian auth0 authress
    autodesk autoklose avaza aviationstack axonaut aylien ayrshare bannerbear baremetrics basecamp beamer beebole
    besnappy besttime betterstack betteruptime billomat binance bingmaps bitbank bitbar bitbucket bitcoinaverage
    bitfinex bitly bitmex bittrex blablabus blazemeter blitapp blockchair blockfrost blocknative blogger bluecart blynk
    bombbomb boostnote borgbase braintree brandfetch browserstack browshot bscscan buddyns budibase bugherd bugsnag
    buildkite bulbul bulksms buttercms calendarific calendly calorieninja campaignmonitor campayn canny cannyio
    capsulecrm captaindata carboninterface cashboard caspio censys centralstationcrm cexio chargebee chargify chartmogul
    chatbot chatfule checio checkly checklyhq checkout checkvist cicero circleci clarifai clearbit clickhelp clickhouse
    clicksend clickup cliengo clientary clinchpad clockify clockwork clojars cloudconvert cloudelements cloudflare
    cloudimage cloudinary cloudmersive cloudplan cloudsight cloudsmith cloverly cloze clustdoc coda codacy codeclimate
    codecov codemagic codequiry cohere coinapi coinbase coinlayer coinlib coinmarketcap coinranking collect2 commercejs
    companyhub confluent contentful contentstack conversiontools convertapi convertkit convier copyscape couchbase
    countrylayer courier coveralls craftmypdf crossbrowsertesting crowdin crowdstrike crunchbase cryptocompare
    currencycloud currencyfreaks currencylayer currencyscoop currentsapi customerguru customerio d7network dailyco
    dandelion dareboost databox databricks datadog datagov deepai deepgram deepl deepseek delighted demio detectify
    detectlanguage dfuse diffbot diggernaut digicert digitalocean discogs discord disqus dnscheck dnsimple dnsmadeeasy
    dockerhub docparser documo docupilot docusign doppler dotdigital dotmailer dovico dribbble dronahq droneci dropbox
    duda duffel duply dwolla dynalist dynatrace dyspatch eagleeyenetworks easyinsight easypost ebay ecostruxureit edamam
    edenai eightxeight elasticemail elevenlabs enablex endorlabs envato esri etherscan ethplorer etsy eventbrite
    everhour exchangerate exchangerateapi exchangeratesapi expensify exportsdk extractorapi facebook faceplusplus
    fastforex fastly fastspring feedier fetchrss figma fileio filestack finage financialmodelingprep findl finicity
    finnhub firebase fixer fixerio flatio fleetbase flexport flickr flightapi flightaware flightlabs flightstats flowflu
    flutterwave flyio fmfw formbucket formcraft formio formsite foursquare frameio freemius freshbooks freshdesk
    freshservice freshworks fulcrum fullcontact fullstory fusebill fxmarket geckoboard gengo geoapify geocodify geocodio
    geoipifi getemail getemails getgeoapi getgist getresponse getsandbox giphy gitter glassnode glitterly gnews gocanvas
    gocardless godaddy goodday googlemaps grafana graphcms graphhopper groovehq gtmetrix guardianapi gumroad gyazo happi
    happyscribe hasura hellosign helpcrunch helpscout hereapi heroku hiveage holidayapi honeycomb hotjar html2pdf
    htmlcsstoimage hubspot huggingface humanity hybiscus hypertrack iconfinder iex iexapis iexcloud imagekit imagga
    imgbb imgur infobip infura insightly instabot instagram instamojo integromat intercom interseller intrinio
    invoiceocean ionic ip2location ipapi ipdata ipgeolocation ipify ipinfo ipinfodb ipquality ipqualityscore ipstack
    jenkins jfrog jira jotform jumpcloud jupiterone juro kaleyra karma karmacrm kentico keycdn kickbox klaviyo klipfolio
    knapsackpro kontent kucoin kylas languagelayer lastfm launchdarkly leadfeeder leaseweb lemlist lemonsqueezy lendflow
    lessannoyingcrm lexigram linear linearapi linenotify linkedin linkpreview linode liveagent livechat livestorm
    loadmill lob logdna loggly loginradius logzio lokalise loqate loyverse lunchmoney luno mabl madkudu magicbell
    mailboxlayer mailboxvalidator mailchimp maileon mailerlite mailgun mailinator mailjet mailmodo mailsac mailtrap
    mandrill mapbox mappify mapquest marketstack mattermost mavenlink maxmind mediastack meetup meilisearch meistertask
    meraki mesibo messagebird metaapi metabase metrilo mindmeister miro mistral mite mixmax mixpanel mockaroo mollie
    mongodb monkeylearn moonclerck moonclerk moosend moralis mrticktock mux myfreshworks myintervals nasdaq
    nasdaqdatalink nethunt netlify neutrinoapi newrelic newsapi newscatcher nexmo nftport ngc ngrok nicereply nightfall
    notion nozbe nozbeteams nuget numverify nutritionix nylas nytimes oanda octopus okta omnisend onedesk onelogin
    onepagecrm onesignal onfido onfleet onwaterio oopspam openai opencage opencagedata opencorporates opengraphr
    openrouter opensea openuv openweather openweathermap opsgenie optidash optimizely overloop owlbot packagecloud
    paddle pagarme pagerduty pandadoc pandascore paperform paralleldots parsehub parsers parseur partnerstack pastebin
    paydirtapp payfit paymo paymoapp paymongo paypal paystack pdflayer pdfshift pendo peopledatalabs pepipost perplexity
    personio pinata pinecone pingdom pinterest pipedream pipedrive pivotaltracker pixabay plaid planetscale planhat
    planviewleankit planyo plausible plivo podio pollsapi poloniex polygon positionstack postageapp postbacks posthog
    postman postmark powrbot prefect privatbank prodpad prospectcrm prospectio protocolsio proxycrawl pubnub pulumi
    purestake pushbullet pusher pushover pyowm qase qualaroo qualtrics qubole quickbase quickbooks quickmail
    quickmetrics quip rapid7 rapidapi raven ravenpost rawg razorpay reachmail readme reallysimplesystems rebrandly
    recaptcha recruitee refiner remarkety rentman replicate replyio requestfinance resend restpack revai revamp
    rightsignature ringcentral ritekit roaring rocketchat rocketreach rockset rollbar ronin route4me rownd rubygems
    runpod runrun runscope salesblink salescookie salesflare salesforce salesloft salesmate samsara satismeter saucelabs
    scaleway scopely scrapeowl scraperapi scraperbox scrapersite scrapestack scrapfly scrapingant scrapingbee
    scrapingdog screenshotapi screenshotlayer scrutinizer scrutinizerci securitytrails selectpdf semantria semaphore
    sendbird sendgrid sendinblue sentry serpapi serper serphouse serpstack sheety sherpadesk shipday shippo shodan
    shopify shortio shotstack shutterstock signable signalwire signaturit signupgenius sigopt simfin simplesat
    simplynoted simvoly sinch sinchmessage sirv siteleaf skrapp skrappio skybiometry slack smartsheet smartsheets
    smartystreets smooch snipcart snov snowflake snyk snykkey sonar sonarcloud sonarqube sourcegraph sparkpost
    speechmatics speechtext splunk spoonacular sportradar sportsmonk spotify squarespace squareup sslmate stability
    stackhawk stackoverflow statuscake statuspage statuspal stitchdata stockdata storecove stormboard stormglass
    storyblok storychief strava stripe stripo stytch sugester sumologic supabase supernotes surveyanyplace surveybot
    surveymonkey surveysparrow survicate swiftype synthesia tailscale tallyfy tatum tatumio tavily taxjar teamgate
    teamwork technicalanalysisapi tefter telegram telesign teletype telnyx tencent terraform textmagic theoddsapi
    thingsboard thinkific thousandeyes ticketmaster tickettailor tiingo timecamp timekit timezoneapi tinify tinypng tly
    tmdb tmetric todoist toggl toggltrack tomorrowio tomtom tracxn tradier transferwise transloadit travelpayouts travis
    travisci trello truenas trustpilot turso twelvedata twilio twitch twitter tyntec typeform typetalk ubidots uclassify
    unbounce unplugg unsplash upcdatabase upcitemdb uplead uploadcare uptimerobot upwave urlscan userflow userstack
    vagrant vagrantcloud vatlayer vbout vercel verimail veriphone versioneye viewneo vimeo virustotal visualcrossing
    voiceflow voicegain vonage voodoosms vouchery vpnapi vultr vyte wakatime walkscore wandb weatherapi weatherbit
    weatherstack web3storage webex webflow webscraper webscraping wepay whatcms whatsapp whoxy wistia witai wiz
    woocommerce wordpress worksnaps workstack worldcoinindex worldtides worldweather wrike xai xero yahoo yandex yelp
    ynab youneedabudget yousign youtube zapier zendesk zenkit zenrows zenscrape zenserp zeplin zerobounce zerotier
    zipapi zipbooks zipcodeapi zipcodebase zipkin zoho zohocrm zonkafeedback zoom zulip
"""

SERVICES: Final = frozenset(_NAMES.split())
"""In lower case."""
