"""Table domains of the conditional-formatting pair generator: `entities | column keys` (keys of `synthesis_lexicon.COLUMNS`).

An entity marked with `*` is a person, so that "who" and "their" fit.
"""

from __future__ import annotations


DOMAINS_TEXT = """
employees*,staff*,workers*,people* | empname empid age dept jobtitle salary hiredate bonus leaves manager gender emptype email experience city
employees*,staff members* | empname hours overtime hourly shift dept total manager leaves
candidates*,applicants* | applicant interview source2 expsal experience decision education jobtitle city score age
interns*,trainees* | empname dept startdate enddate hourly score manager education
orders,purchases | orderid custname product qty price total orderdate shipdate orderstatus paymethod city discount
orders,deliveries | orderid orderdate promised deliverydate carrier shipcost orderstatus dest weightlb
sales,deals,transactions | salesrep product region revenue sold price commission target actual orderdate margin
salespeople*,reps*,sales reps* | salesrep region revenue target commission leads calls convrate
customers*,clients* | custname custid email city total visits lastcontact joined memtype satis phone country balance
accounts,clients | company sector revenue country salesrep lastcontact stage contractval
products,items,articles | product sku category price cost stock sold supplier rating reviews brand margin reorder
products,items | product price discount stock returnrate unitsret rating color sizec material
items,parts,SKUs | sku product stock reorder price supplier qty expiry batch category
parts,components | part sku stock cost supplier weightlb material thickness transit
suppliers,vendors | supplier country rating transit ontime defectrate contractval paymethod city
invoices,bills | invno custname invdate duedate total balance invstatus dayslate paydate tax paymethod
transactions,entries,payments | trandate memo debit credit balance account category notes
expenses,purchases | trandate memo total dept empname approved paymethod notes
departments,cost centers | dept budget actual variance forecast expenses manager enrolled
projects | project manager startdate enddate budget actual progress pstatus risk dept
tasks,activities | task assignee startdate duedate effort spent progress pstatus priority
tickets,issues,cases | ticketid issue priority tstatus assignee created closed resptime restime reopens sla reporter
bugs,defects | ticketid issue severity tstatus assignee version created updated effort
incidents,outages | ticketid severity created downtime tstatus assignee users
servers,hosts,machines | ip os cpu ram disk uptime latency errorsn requests lastservice
devices,assets | asset serial brand owner warranty cost condition orderdate lifetime
accounts,users* | username email role lastlogin verified created errorsn active
subscribers*,subscriptions,users* | username memtype mrr subend joined active churn country
students*,pupils*,kids* | student studentid age class math english science history attend gpa absent gender
students*,learners* | student exam1 exam2 homework score grade passed attend teacher
students*,pupils* | student physics art math english class gpa teacher city
courses,classes | subject teacher enrolled capacity credits room startdate rating
courses,trainings | course speaker duration price enrolled rating complrate lessons difficulty
learners*,participants* | applicant course progress score lastlogin certified lessons hours
applicants*,candidates* | applicant gpa score decision city interview grantamt country
schools | district enrolled teacher budget attend score capacity yearbuilt
patients*,people* | patient patientid age diagnosis bp hr chol bmi bodytemp weightkg insurer smoker
patients*,admissions | patient ward admit discharge stay doctor diagnosis bloodtype bill
patients*,appointments | patient doctor visitdate wait insurer bill diagnosis phone notes
patients*,newborns* | patient weightkg heightcm dob bloodtype gender vaccinated bodytemp
prescriptions,medicines,drugs | drug dose patient doctor price stock expiry qty
hospitals,clinics | hospital city beds nurses occupancy rating cases wait
countries,regions | country cases deaths doses population vaccinated turnout
samples,specimens | sample ph conc purity turbidity labresult testedon technician notes
samples,measurements | sample toxicity ph bodytemp viscosity batch conc station
experiments,runs | sample temp pressure yield duration technician labresult trandate
dishes,meals,menu items | dish cuisine price calories preptime vegan rating sodium allergy
foods,snacks,products | dish calories protein carbs fat sugar sodium price
tables,checks,bills | tableno server guests bill tip trandate paymethod notes
restaurants,places | company cuisine city rating reviews bill seats distance
reservations,bookings | guestname roomtype nights checkin checkout bookstatus channel total guests room
rooms | room roomtype rent occupancy sqft condition lastservice price
hotels | company city rating reviews price occupancy distance capacity
books,titles | book author genre pages pubyear isbn copies rating price language
loans,books | book borrower borrowed duedate returned fine copies
vehicles,cars,trucks | plate model vehicle mileage fuel mpg lastservice nextservice driver yearbuilt
cars,vehicles | brand model yearbuilt mileage houseprice color fuel power condition
trips,routes,drives | driver origin dest distance duration fuelcost speed trandate
shipments,packages,parcels | tracking origin dest weightlb volume carrier shipdate deliverydate shipstatus shipcost transit
shipments,containers | vessel cargo teu origin dest deliverydate shipstatus pallets
warehouses,sites | city capacity stock occupancy sqft headcount manager rent
flights | flight airline origin dest delay gate pax fare fstatus duration
passengers*,travellers* | guestname seat flight fare memtype nationality age weightlb
buses,routes,lines | route stops distance riders ontime delay driver duration
players*,athletes* | player team pos goals assists matches yellow age mvalue nationality minutes
players* | player team ppg reb fgp minutes fouls heightcm weightkg
teams,clubs | team matches wins draws losses points goals manager venue
runners*,swimmers*,racers* | player racetime age nationality rank team gender
players*,hitters* | player team batting homeruns salary age pos
countries,nations,teams | country gold medals population rank continent
matches,games | team venue attendees goals eventdate yellow red
golfers*,players* | player score rank income nationality age
stocks,shares,companies | ticker company shareprice change tvolume mcap pe dividend sector
stocks,days,sessions | trandate openp highp lowp shareprice tvolume change
holdings,positions,investments | ticker shares cost shareprice roi sector account
coins,tokens,cryptos | coin ticker shareprice change tvolume mcap rank
funds,portfolios | company roi risk interest mcap manager startdate
loans,borrowers* | custname loan interest term installment creditscore loanstatus income
policies,claims | policy custname premium claim claimstatus incdate expiry age
insured*,policyholders* | custname age smoker bmi premium children claim
campaigns,ads | campaign platform clicks impressions ctr conv cpc adspend startdate
emails,newsletters,campaigns | campaign openrate ctr leads conv bounce posted
pages,websites,posts | issue views bounce duration convrate author posted
posts,videos | issue platform views likes ccount shares2 posted duration
creators*,influencers* | username platform followers likes income country rating
leads,opportunities,deals | company stage dealvalue prob salesrep closedate lastcontact source2
houses,homes,properties,listings | address houseprice sqft bedrooms baths yearbuilt propstatus proptype listedon dom city
apartments,flats,units | address rent sqft bedrooms tenant leaseend parking deposit
buildings,offices | address yearbuilt sqft stops occupancy manager nextservice rent
tenants*,renters* | tenant rent leaseend balance dayslate deposit phone
events | event venue eventdate attendees ticketprice ticketsold speaker duration budget
guests*,invitees* | guestname rsvp allergy tableno age email city
attendees*,participants* | applicant company joined ticketprice paymethod rsvp email
concerts,shows | artist venue eventdate ticketprice ticketsold capacity duration
candidates*,politicians* | candidate party votes voteshare age district
districts,constituencies | district population turnout votes party seatswon
days,readings,observations | trandate station maxtemp mintemp humidity rain wind pressure sky
cities,places,towns | city temp rain humidity aqi elev population country
stations,sites | station elev temp rain snow wind aqi
cities,countries | city country population areakm density elev yearbuilt
countries,nations | country continent population gdp lifeexp literacy unemp areakm language
states,counties | state population income unemp areakm turnout education
respondents*,participants*,people* | respondent age gender education income satis nps marital children answer feedback
households,families | respondent income children kwh rent city expenses
meters,customers*,buildings | meter custname kwh peak tariff bill trandate co2
plants,power stations | source output efficiency co2 capacity country yearbuilt cost
fields,plots,crops | crop field hectares yield moisture planted harvest irrigated fertilizer
cows,animals | animal breed milk weightkg age dob vaccinated owner
pets,dogs,cats | breed age weightkg vaccinated owner color visitdate bill
members*,gym members* | member memtype joined visits mrr active age lastlogin
workouts,sessions | trandate workout duration burned distance hr reps sets lift
days,nights | trandate steps sleep burned hr weightkg bp notes
hikes,trails | trail distance gain duration difficulty rating elev
movies,films | movie director genre relyear runtime boxoffice rating budget
songs,tracks | song artist genre duration streams bpm relyear
albums,records | song artist copies relyear price rating condition
machines,lines | machine output defects downtime oee shift lastservice
batches,lots | batch product output defectrate qcresult inspected inspector expiry
products,pieces | serial length width thickness mass qcresult inspector
wines,bottles | wine country vintage alcohol price rating bottles sugar
listings,auctions,lots | product startbid finalbid bids condition enddate salesrep
donations,gifts | donor donation fund trandate paymethod country email
volunteers*,helpers* | volunteer hours event phone age joined
grants,proposals | applicant grantamt decision score fund startdate enddate
contracts,agreements | company contractval signed expiry owner approved term
lawsuits,cases | ticketid court judge hearing claim crime tstatus
crimes,incidents,reports | crime district incdate officer tstatus age
earthquakes,quakes | city magnitude depth casualties incdate country
mines,drill holes | mineral depth purity output country company
ships,vessels | vessel speed cargo length yearbuilt country fuel
trees,plants | species treeheight diameter planted age condition district
birds,animals,species | species sightings seen conserv mass country
stars,planets | star brightness distance mass diameter temp
files,documents | filename ftype filesize owner updated downloads version
agents*,operators* | empname calls callmin abandoned satis hours team
sensors,motors | machine voltage current power vibration noise temp
shifts,rosters | empname shift trandate hours overtime dept notes
stores,branches,shops | city manager revenue sqft headcount rating rent region expenses
services,plans | product mrr users churn rating latency
streets,neighborhoods | district rent population noise parking crime
customers*,shoppers* | custname age gender income total visits memtype paymethod
packages,parcels | tracking weightlb length width shipcost dest
baskets,receipts | orderid trandate total qty discount tax paymethod tip
books,authors* | author book sold price rating genre pubyear
"""

def _parse() -> tuple[tuple[tuple[tuple[str, bool], ...], tuple[str, ...]], ...]:
    domains = []
    for line in DOMAINS_TEXT.strip().splitlines():
        entities, keys = line.split("|")
        names = tuple((name.strip().rstrip("*"), name.strip().endswith("*")) for name in entities.split(","))
        domains.append((names, tuple(keys.split())))
    return tuple(domains)


DOMAINS = _parse()
