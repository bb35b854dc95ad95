"""Word banks of the conditional-formatting (CF) pair generator: families, columns and value pools.

Plain data in a small line format, parsed once at import by [`parse_columns`]; the sampling logic is in
`synthesis.py` and the tables that these columns form are in `synthesis_domains.py`.

A column line is `key | kind | headers | mentions | extras`:

* kind: `int lo hi`, `num lo hi decimals`, `money lo hi`, `pct lo hi`, `year lo hi`, `date`, `time lo hi` (a plain number),
  `cat A/B/C`, `bool Yes/No`, or a pool: `name first city country company product email code PATTERN text`.
* headers and mentions are separated by `,`: how sheets spell the column, and how people talk about it.
* extras, separated by `;`: `f=` comparison family, `u=` units, `adj` (the values work as adjectives, as in "open tickets"),
  `part=` what was done on the date ("shipped"), `max=`/`min=` superlatives, `v=` verbs that take an amount.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# family: (adjective for more, adjective for less, superlatives for most, superlatives for least, verbs that take an amount)
FAMILIES: dict[str, tuple[str, str, str, str, str]] = {
    "age": ("older than", "younger than", "oldest", "youngest", ""),
    "price": (
        "more expensive than,pricier than,costlier than",
        "cheaper than,less expensive than",
        "most expensive,priciest,costliest,dearest",
        "cheapest,least expensive",
        "cost,sell for,are priced at,go for",
    ),
    "cost": ("costlier than,more costly than", "cheaper than", "costliest,most costly", "cheapest,least costly", "cost"),
    "pay": ("", "", "best paid,highest paid,top earning", "lowest paid,worst paid,least paid", "earn,make,are paid,get paid"),
    "score": ("", "", "best scoring,top scoring,highest scoring", "lowest scoring,worst scoring", "scored,score,got"),
    "rating": ("rated above,rated higher than,rated over,rated better than", "rated below,rated under,rated lower than,rated worse than",
               "best rated,highest rated,top rated", "worst rated,lowest rated", "are rated"),
    "weight": ("heavier than", "lighter than", "heaviest", "lightest", "weigh"),
    "height": ("taller than", "shorter than", "tallest", "shortest", ""),
    "length": ("longer than", "shorter than", "longest", "shortest", ""),
    "duration": ("longer than", "shorter than", "longest", "shortest", "took,take,last,lasted"),
    "temp": ("hotter than,warmer than", "colder than,cooler than", "hottest,warmest", "coldest,coolest", ""),
    "distance": ("farther than,further than,further away than", "closer than,nearer than", "farthest,furthest,most distant",
                 "closest,nearest", ""),
    "speed": ("faster than", "slower than", "fastest,quickest", "slowest", ""),
    "racetime": ("slower than", "faster than,quicker than", "slowest", "fastest,quickest", ""),
    "area": ("larger than,bigger than", "smaller than", "largest,biggest,most spacious", "smallest,tiniest", "cover"),
    "pop": ("more populous than", "less populous than", "most populous,most populated", "least populous,least populated", ""),
    "profit": ("", "", "most profitable", "least profitable", ""),
    "depth": ("deeper than", "shallower than", "deepest", "shallowest", ""),
    "bright": ("brighter than", "dimmer than", "brightest", "dimmest", ""),
    "loud": ("louder than", "quieter than", "loudest", "quietest", ""),
    "wet": ("wetter than", "drier than", "wettest,rainiest", "driest", ""),
    "wind": ("windier than", "calmer than", "windiest", "calmest", ""),
    "size": ("larger than,bigger than", "smaller than", "largest,biggest", "smallest", ""),
    "sugar": ("sweeter than", "", "sweetest", "", ""),
    "popular": ("more popular than", "less popular than", "most popular", "least popular", ""),
    "built": ("", "", "newest,most recent", "oldest", ""),

}

COLUMNS_TEXT = """
salary | money 18000 180000 | Salary,Annual Salary,Base Salary,Gross Pay,Sal,Base Pay,Yearly Salary,Compensation,CTC,Remuneration | salary,pay,wage,earnings,base pay,compensation | f=pay
hourly | money 9 85 | Hourly Rate,Rate/hr,Hourly Wage,Pay Rate | hourly rate,hourly wage,rate per hour,pay per hour | f=pay
bonus | money 200 30000 | Bonus,Annual Bonus,Bonus Amount,Incentive,Bonus Paid | bonus,incentive,bonus payout | v=got a bonus of
overtime | int 0 60 | Overtime Hours,OT,OT Hrs,Overtime,Extra Hours | overtime,overtime hours,extra hours | u=hours/hrs/h;v=worked overtime of
hours | int 1 70 | Hours Worked,Hours,Hrs,Worked Hours,Hours Logged,Total Hours | hours worked,hours,logged hours | u=hours/hrs/h;v=worked,logged
dept | cat Sales/Marketing/Finance/HR/IT/Legal/Operations/Engineering/Support/Procurement/R&D | Department,Dept,Dept.,Division,Team,Business Unit,Org Unit | department,team,division | work
jobtitle | cat Analyst/Manager/Engineer/Director/Technician/Assistant/Intern/Consultant/Team Lead/Clerk/Supervisor | Job Title,Title,Position,Role,Designation,Job Role | job title,position,role,designation |
age | int 16 89 | Age,Age (years),Age at Entry,Years Old,Current Age | age | f=age;u=years/yrs;v=are aged
hiredate | date | Hire Date,Start Date,Date Hired,Joining Date,DOJ,Date of Joining,Employed Since,Onboarded | hire date,start date,joining date,date of joining | part=hired,joined,who joined,onboarded,who started
leaves | int 0 30 | Leave Days,Days Off,Leaves Taken,Vacation Days,PTO,Absences,Days Absent | leave days,days off,vacation days,absences | u=days;v=took
experience | int 0 35 | Experience,Years of Experience,Exp (yrs),Seniority,Tenure,Years of Service | experience,years of experience,tenure,seniority | u=years/yrs;max=most experienced,most senior;min=least experienced,most junior;gt=more experienced than
manager | name | Manager,Reports To,Supervisor,Line Manager,Mgr | manager,supervisor,boss |
gender | cat Male/Female/Other | Gender,Sex | gender,sex | adj
emptype | cat Full-time/Part-time/Contract/Temporary/Intern | Employment Type,Contract Type,Job Type,Emp Type | employment type,contract type | adj
empname | name | Employee,Employee Name,Name,Full Name,Staff Member,Emp Name | employee,employee name,staff member |
empid | code E#### | Employee ID,Emp ID,Staff No,EmpCode,Badge No | employee id,staff number,badge number |
email | email | Email,E-mail,Email Address,Contact Email,Mail | email,email address,e-mail,mail address |
phone | code +44 ### #### | Phone,Telephone,Tel,Mobile,Contact No,Phone Number | phone,phone number,telephone,mobile number |
custname | name | Customer,Customer Name,Client,Client Name,Buyer,Name | customer,customer name,client,buyer |
custid | code C-#### | Customer ID,Cust ID,Client No,CustomerCode | customer id,client number,customer code |
company | company | Company,Company Name,Organization,Firm,Organisation,Business | company,company name,firm,organization |
supplier | company | Supplier,Vendor,Supplier Name,Vendor Name | supplier,vendor |
city | city | City,Town,Location,City Name | city,town |
country | country | Country,Nation,Country Name | country,nation |
region | cat North/South/East/West/Central/EMEA/APAC/LATAM | Region,Sales Region,Territory,Area,Zone | region,territory,zone |
state | cat California/Texas/Ohio/Florida/New York/Nevada/Oregon/Maine/Georgia | State,US State,Province | state,province |
address | text addr | Address,Street Address,Street | address,street |
product | product | Product,Product Name,Item,Item Name,Article,Goods | product,product name,item,article |
sku | code AA-### | SKU,Item Code,Product Code,Part Number,Article No,Part No. | sku,item code,product code,part number |
category | cat Electronics/Furniture/Clothing/Toys/Office Supplies/Groceries/Books/Garden/Beauty/Sports | Category,Product Category,Product Group,Item Type,Class,Dept | category,product category,product group |
brand | cat Acme/Nordic/Zenith/Bluebird/Orion/Vega/Kestrel/Lumo/Tundra | Brand,Make,Manufacturer,Label | brand,make,manufacturer |
qty | int 1 800 | Quantity,Qty,Units,Order Qty,Quantity Ordered,No. of Units,Pieces,Pcs,Count | quantity,qty,number of units,units | u=units/pieces/pcs
sold | int 0 5000 | Units Sold,Sold,Sales Volume,Qty Sold,Sold Units,Number Sold | units sold,sales volume,quantity sold,number sold | u=units;max=best selling,best-selling,top selling;min=worst selling,slowest selling;v=sold
stock | int 0 900 | Stock,In Stock,Stock Level,On Hand,Qty on Hand,Inventory,Available,Units in Stock | stock,stock level,inventory,quantity on hand,units in stock,available stock | u=units/pieces/pcs;v=have stock of
reorder | int 5 150 | Reorder Level,Reorder Point,Min Stock,Minimum Stock,ROP | reorder level,reorder point,minimum stock |
price | money 1 900 | Price,Unit Price,Sale Price,Selling Price,Price/Unit,Px,List Price,Retail Price,unit_price | price,unit price,selling price | f=price
cost | money 1 700 | Cost,Unit Cost,Cost Price,Purchase Price,Cost/Unit,COGS | cost,unit cost,cost price | f=cost
shipcost | money 2 120 | Shipping Cost,Shipping,Freight,Delivery Fee,Shipping Fee,Postage | shipping cost,freight,delivery fee,postage,shipping fee | v=cost to ship
discount | pct 0 60 | Discount,Discount %,Disc.,Discount Rate,Rebate | discount,discount rate,rebate,markdown | v=are discounted by
tax | money 1 300 | Tax,VAT,Sales Tax,GST,Tax Amount | tax,tax amount,vat |
total | money 10 9000 | Total,Order Total,Total Amount,Grand Total,Order Value,Amount,Total Price | total,order total,total amount,order value,amount | v=total,are worth
revenue | money 1000 900000 | Revenue,Sales,Turnover,Net Sales,Total Revenue,Gross Revenue,Sales Amount,Rev | revenue,sales,turnover,income | v=bring in,generate
profit | money -5000 90000 | Profit,Net Profit,Earnings,Net Income,Gross Profit,P&L | profit,net profit,earnings | f=profit
margin | pct 2 70 | Margin,Profit Margin,Margin %,Gross Margin,GM% | margin,profit margin,gross margin |
expenses | money 100 60000 | Expenses,Spend,Total Expenses,Expenditure,Costs,Spending | expenses,spending,expenditure,spend | v=spent,spend
budget | money 500 200000 | Budget,Budgeted,Planned Cost,Budget Amount,Allocated Budget,Allocation | budget,planned cost,budget allocation |
actual | money 500 200000 | Actual,Actual Cost,Actual Spend,Actuals,Spent to Date | actual cost,actual spend,actuals,actual |
variance | money -9000 9000 | Variance,Budget Variance,Difference,Var,Over/Under | variance,difference,deviation |
forecast | money 1000 200000 | Forecast,Projected,Projected Sales,Forecasted Amount,Fcst | forecast,projection,projected sales |
target | money 1000 200000 | Target,Sales Target,Quota,Goal,Tgt | target,quota,goal,sales target |
commission | money 50 9000 | Commission,Comm.,Sales Commission,Commission Paid | commission,commission paid | v=earned commission of
salesrep | name | Sales Rep,Salesperson,Rep,Account Manager,Agent,Sold By | sales rep,salesperson,rep,agent |
orderdate | date | Order Date,Date Ordered,Purchase Date,Ordered On,Order_Dt,Date of Order | order date,purchase date,date of order | part=ordered,placed,made
shipdate | date | Ship Date,Shipped On,Date Shipped,Dispatch Date,Shipment Date | ship date,shipping date,dispatch date | part=shipped,dispatched,sent out
deliverydate | date | Delivery Date,Delivered On,Arrival Date,Received On,Date Delivered | delivery date,arrival date | part=delivered
promised | date | Promised Date,Expected Delivery,ETA,Promised By,Expected By | promised date,expected delivery date,eta | part=promised for,expected
duedate | date | Due Date,Due,Deadline,Due By,Payment Due,Target Date,DueDt | due date,deadline,due day | part=due,that are due
invdate | date | Invoice Date,Billed On,Date Issued,Billing Date,Inv Date | invoice date,billing date,date of issue | part=issued,billed,invoiced
paydate | date | Payment Date,Paid On,Date Paid,Settled On | payment date,date of payment | part=paid,settled
orderstatus | cat Shipped/Pending/Cancelled/Delivered/Processing/Returned/On Hold | Status,Order Status,State,Fulfilment | status,order status,state | adj
orderid | code ORD-#### | Order ID,Order No,Order Number,Order #,OrderRef | order id,order number,order no |
paymethod | cat Cash/Credit Card/PayPal/Bank Transfer/Cheque/Voucher | Payment Method,Payment Type,Paid With,Pay Mode,Method | payment method,payment type,mode of payment |
invstatus | cat Paid/Unpaid/Overdue/Partially Paid/Draft/Disputed | Status,Payment Status,Invoice Status,Paid? | status,payment status,invoice status | adj
invno | code INV-#### | Invoice No,Invoice Number,Invoice #,Inv No.,Bill No | invoice number,invoice no,bill number |
balance | money -500 20000 | Balance,Outstanding,Balance Due,Amount Due,Outstanding Balance,Bal,Closing Balance | balance,outstanding balance,amount due,outstanding amount | v=owe
dayslate | int 0 120 | Days Overdue,Days Late,Days Past Due,Overdue Days,Aging | days overdue,days late,overdue days,delay | u=days;v=are overdue by,are late by
debit | money 1 8000 | Debit,Debit Amount,Withdrawal,Withdrawals,Money Out,Dr | debit,withdrawal,debit amount |
credit | money 1 8000 | Credit,Credit Amount,Deposit,Deposits,Money In,Cr | credit,deposit,credit amount |
account | code ACC#### | Account,Account No,Account Number,Acct,Acct # | account,account number |
trandate | date | Date,Transaction Date,Txn Date,Posting Date,Value Date | date,transaction date,posting date | part=posted,made,booked
memo | text memo | Description,Memo,Details,Narration,Particulars | description,memo,narration |
notes | text notes | Notes,Comments,Remarks,Comment,Observations,Note | notes,comments,remarks,comment |
student | name | Student,Student Name,Name,Pupil,Learner | student,student name,pupil |
studentid | code S#### | Student ID,Roll No,Reg No,Student Number,Admission No | student id,roll number,registration number |
grade | cat A/B/C/D/F/A+/B+ | Grade,Letter Grade,Final Grade,Result Grade | grade,letter grade,final grade |
score | int 0 100 | Score,Total Score,Points,Mark,Marks,Marks Obtained,Test Score | score,mark,marks,points,test score | f=score;u=points/pts
math | int 20 100 | Math,Maths,Mathematics,Math Score,Maths Marks | math,maths,math score,math mark,mathematics |
english | int 20 100 | English,English Score,Eng,English Marks | english,english score,english mark |
science | int 20 100 | Science,Science Score,Sci,Science Marks | science,science score,science mark |
history | int 20 100 | History,History Score,Hist. | history,history score,history mark |
physics | int 20 100 | Physics,Physics Score,Phy | physics,physics score,physics mark |
art | int 20 100 | Art,Art Score,Arts | art,art score,art mark |
exam1 | int 10 100 | Midterm,Mid-term,Midterm Exam,Mid Term Score,Test 1 | midterm,midterm score,mid-term exam |
exam2 | int 10 100 | Final,Final Exam,Final Score,Finals,Test 2 | final exam,final score,final |
homework | int 0 100 | Homework,HW,Assignments,Homework Avg | homework,assignments,homework score |
attend | pct 40 100 | Attendance,Attendance %,Attendance Rate,Presence,Att. % | attendance,attendance rate,presence |
gpa | num 1 4 2 | GPA,CGPA,Grade Point Average | gpa,grade point average |
absent | int 0 25 | Absences,Days Absent,Missed Classes,Days Missed | absences,missed classes,days missed | u=days;v=missed
class | cat 7A/7B/8A/8B/9A/9C/10B | Class,Section,Form,Homeroom,Class Section | class,section,homeroom |
teacher | name | Teacher,Instructor,Tutor,Lecturer,Class Teacher | teacher,instructor,tutor |
subject | cat Math/Biology/Chemistry/History/English/Geography/Music/Art | Subject,Course,Course Name,Module | subject,course,module |
passed | bool Pass/Fail | Result,Outcome,Pass/Fail,Passed? | result,outcome |
credits | int 1 12 | Credits,Credit Hours,ECTS,Units Earned | credits,credit hours |
enrolled | int 5 240 | Enrolled,Enrollment,Students Enrolled,Registered,No. of Students | enrollment,students enrolled,number of students |
capacity | int 10 400 | Capacity,Max Capacity,Seats,Cap.,Max Seats | capacity,maximum capacity,seats |
patient | name | Patient,Patient Name,Name,Patient Full Name | patient,patient name |
patientid | code P-#### | Patient ID,MRN,Chart No,Record No | patient id,record number,mrn |
diagnosis | cat Asthma/Diabetes/Flu/Migraine/Hypertension/Fracture/Anemia/Bronchitis | Diagnosis,Condition,Dx,Primary Diagnosis,Disease | diagnosis,condition,disease |
bp | int 90 190 | Systolic,Systolic BP,Blood Pressure,BP,Sys | blood pressure,systolic pressure,bp |
hr | int 45 140 | Heart Rate,Pulse,HR,BPM,Heart Rate (bpm) | heart rate,pulse | u=bpm
chol | int 110 320 | Cholesterol,Total Cholesterol,Chol,LDL | cholesterol,cholesterol level |
glucose | int 60 260 | Glucose,Blood Sugar,Fasting Glucose,Glu | glucose,blood sugar,sugar level |
bmi | num 16 42 1 | BMI,Body Mass Index | bmi,body mass index |
bodytemp | num 35 41 1 | Temperature,Body Temp,Temp (C),Fever | temperature,body temperature,temp | u=degrees/°C
weightkg | num 40 140 1 | Weight,Weight (kg),Wt,Body Weight,Mass | weight,body weight | f=weight;u=kg/kgs/kilos
heightcm | int 140 210 | Height,Height (cm),Ht,Stature | height | f=height;u=cm
insurer | cat Aetna/Cigna/Bupa/Allianz/AXA/None | Insurance,Insurer,Insurance Provider,Payer | insurance,insurer,insurance provider |
visitdate | date | Visit Date,Last Visit,Appointment Date,Appt Date,Date of Visit,Checkup | visit date,last visit,appointment date,appointment | part=seen,visited
dob | date | DOB,Date of Birth,Birth Date,Birthday,Born | date of birth,birthday,birth date,dob | part=born
admit | date | Admission Date,Admitted,Date Admitted,Admit Dt | admission date,date of admission | part=admitted
discharge | date | Discharge Date,Discharged,Date Discharged | discharge date,date of discharge | part=discharged
doctor | name | Doctor,Physician,Attending,Consultant,Dr | doctor,physician,attending doctor |
ward | cat ICU/Maternity/Cardiology/Pediatrics/Surgery/Oncology/ER | Ward,Unit,Department,Clinic Unit | ward,unit |
bloodtype | cat A+/A-/B+/B-/O+/O-/AB+/AB- | Blood Type,Blood Group,ABO | blood type,blood group |
smoker | bool Yes/No | Smoker,Smokes,Smoking,Smoker? | smoker,smoking status |
stay | int 1 40 | Length of Stay,LOS,Days in Hospital,Stay (days) | length of stay,stay,days in hospital | u=days;v=stayed
wait | int 1 180 | Wait Time,Waiting Time,Wait (min),Wait | wait time,waiting time,wait | u=minutes/min/mins;v=waited,wait
dose | num 1 500 1 | Dose,Dosage,Dose (mg),Daily Dose | dose,dosage,daily dose | u=mg
drug | cat Ibuprofen/Metformin/Amoxicillin/Aspirin/Lisinopril/Insulin/Paracetamol | Drug,Medication,Medicine,Prescription,Rx | drug,medication,medicine |
ticketid | code TCK-### | Ticket ID,Ticket,Ticket #,Case ID,Incident No,Case Number | ticket,ticket number,case id,incident number |
priority | cat High/Medium/Low/Critical/Urgent/P1/P2 | Priority,Urgency,Prio,Severity Level,Importance | priority,urgency,importance | adj
severity | cat Critical/Major/Minor/Trivial/Blocker | Severity,Sev,Impact,Bug Severity | severity,impact | adj
tstatus | cat Open/Closed/In Progress/Resolved/Pending/Escalated/Reopened/On Hold | Status,Ticket Status,State,Current Status,Stage | status,ticket status,state | adj
assignee | name | Assigned To,Assignee,Owner,Handled By,Agent,Responsible | assignee,owner,responsible person |
reporter | name | Reporter,Reported By,Raised By,Requester,Submitted By | reporter,requester,submitter |
created | date | Created,Created On,Date Opened,Opened,Creation Date,Open Date | creation date,opening date,created date | part=created,opened,raised,logged
closed | date | Closed On,Date Closed,Resolved On,Resolution Date,Close Date | closing date,resolution date,close date | part=closed,resolved
updated | date | Last Updated,Updated,Modified,Last Modified,Updated At | last update,modification date,last modified date | part=updated,last updated,modified
resptime | num 0 72 1 | Response Time,Response (h),First Response,Resp. Time | response time,first response time,reaction time | u=hours/h/hrs
restime | num 0 200 1 | Resolution Time,Time to Resolve,TTR,Resolution (h),Handling Time | resolution time,time to resolve,handling time | u=hours/h/hrs;v=took
reopens | int 0 6 | Reopened,Reopen Count,Times Reopened,# Reopens | reopen count,times reopened |
sla | bool Yes/No | SLA Met,Within SLA,SLA OK,SLA | sla,sla met |
issue | text issue | Issue,Subject,Summary,Title,Problem,Short Description | issue,subject,summary,problem |
task | text task | Task,Task Name,Activity,To Do,Work Item | task,task name,activity |
progress | pct 0 100 | Progress,% Complete,Completion,Done %,Percent Complete,Completed % | progress,completion,percent complete,completion rate | v=are complete to
startdate | date | Start Date,Start,Begin Date,Kickoff,From | start date,begin date,kickoff | part=started,starting
enddate | date | End Date,Finish,End,Finish Date,Completion Date,To | end date,finish date,completion date | part=ending,finished,completed
effort | int 1 120 | Effort,Estimate,Est. Hours,Estimated Hours,Story Points | effort,estimate,estimated hours,planned effort |
spent | int 1 160 | Time Spent,Actual Hours,Logged,Hours Spent | time spent,actual hours,hours spent |
project | cat Apollo/Phoenix/Mercury/Atlas/Titan/Nova/Horizon | Project,Project Name,Proj,Programme | project,project name |
risk | cat High/Medium/Low/Very High | Risk,Risk Level,Risk Rating,Exposure | risk,risk level,risk rating |
likelihood | int 1 5 | Likelihood,Probability,Prob. | likelihood,probability |
pstatus | cat Not Started/In Progress/Completed/Delayed/Blocked/Cancelled/On Track | Status,Project Status,Task Status,State,Phase Status | status,task status,state,project status | adj
rent | money 400 5000 | Rent,Monthly Rent,Rent/mo,Rental,Rent (pcm) | rent,monthly rent | v=rent for
houseprice | money 80000 2500000 | Price,Asking Price,Listing Price,Sale Price,List Price | price,asking price,listing price | f=price
sqft | int 300 6000 | Sq Ft,Area (sqft),Square Feet,Living Area,Floor Area,Size (m2),sqft | floor area,area,living area,square footage,size | f=area;u=sqft/sq ft/square feet
bedrooms | int 1 7 | Bedrooms,Beds,BR,# Bedrooms,No. of Bedrooms | bedrooms,number of bedrooms,beds | have=bedrooms,beds
baths | int 1 5 | Bathrooms,Baths,BA,# Bathrooms | bathrooms,number of bathrooms,baths | have=bathrooms,baths
yearbuilt | year 1900 2023 | Year Built,Built,Built In,Construction Year,Yr Built | year built,construction year,year of construction | part=built;f=built
propstatus | cat For Sale/Sold/Rented/Under Offer/Vacant/Withdrawn | Status,Listing Status,Availability,Market Status | status,listing status,availability | adj
proptype | cat Apartment/House/Studio/Villa/Condo/Townhouse/Duplex | Property Type,Type,Home Type,Dwelling | property type,home type |
tenant | name | Tenant,Tenant Name,Renter,Occupant,Lessee | tenant,renter,occupant |
leaseend | date | Lease End,Lease Expiry,End of Lease,Contract End,Lease Exp. | lease end,lease expiry,end of lease | part=ending,whose lease ends
listedon | date | Listed On,Date Listed,Listing Date,On Market Since | listing date,date listed | part=listed
dom | int 1 300 | Days on Market,DOM,Listed (days) | days on market,time on the market | u=days
parking | bool Yes/No | Parking,Garage,Parking Available | parking,garage |
sample | code SMP-### | Sample,Sample ID,Specimen,Sample No | sample,sample id,specimen |
ph | num 1 14 1 | pH,pH Level,pH Value,Acidity | ph,ph level,ph value,acidity |
conc | num 0 50 2 | Concentration,Conc. (mg/L),Conc,mg/L | concentration,conc | u=mg/L
purity | pct 60 100 | Purity,Purity (%),Purity Level | purity,purity level |
turbidity | num 0 20 1 | Turbidity,Turbidity (NTU),NTU | turbidity | u=NTU
labresult | cat Positive/Negative/Inconclusive/Pending | Result,Test Result,Lab Result,Outcome | result,test result,outcome | adj
testedon | date | Tested On,Test Date,Date Tested,Analysis Date | test date,analysis date | part=tested,analysed
technician | name | Technician,Analyst,Lab Tech,Tested By | technician,analyst,lab tech |
viscosity | num 1 90 1 | Viscosity,Visc.,Viscosity (cP) | viscosity | u=cP
dish | cat Pizza/Ramen/Burger/Caesar Salad/Paella/Lasagna/Tacos/Pad Thai/Sushi | Dish,Menu Item,Item,Meal,Food | dish,menu item,meal |
calories | int 80 1400 | Calories,kcal,Cal,Energy (kcal) | calories,kcal,calorie count | u=kcal/calories/cal;have=calories;v=have
protein | num 0 70 1 | Protein,Protein (g),Prot. | protein,protein content | u=g/grams;v=have protein of
carbs | num 0 120 1 | Carbs,Carbohydrates,Carbs (g) | carbs,carbohydrates | u=g/grams
fat | num 0 60 1 | Fat,Fat (g),Total Fat,Fats | fat,fat content | u=g/grams
sugar | num 0 60 1 | Sugar,Sugars,Sugar (g) | sugar,sugar content | u=g/grams;f=sugar
sodium | int 0 2400 | Sodium,Sodium (mg),Salt | sodium,salt,salt content | u=mg
preptime | int 5 120 | Prep Time,Cooking Time,Cook Time,Prep (min),Time | prep time,preparation time,cooking time | u=minutes/min/mins;v=take
cuisine | cat Italian/Mexican/Thai/Indian/French/Japanese/Greek | Cuisine,Cuisine Type,Kitchen,Food Type | cuisine,type of cuisine | adj
vegan | bool Yes/No | Vegan,Vegetarian,Veg,Meat-free | vegan,vegetarian |
guests | int 1 20 | Guests,Party Size,No. of Guests,Covers,Pax,People | guests,party size,number of guests,covers | have=guests
tableno | int 1 60 | Table,Table No,Table Number | table number,table no |
tip | money 0 80 | Tip,Tips,Gratuity,Tip Amount | tip,gratuity | v=tipped,left a tip of
bill | money 10 600 | Bill,Bill Amount,Check,Check Total,Bill Total | bill,bill amount,check |
server | name | Server,Waiter,Waitress,Served By | server,waiter,waiter's name |
rating | num 1 5 1 | Rating,Stars,Avg Rating,Customer Rating,Review Score,Rating (1-5) | rating,stars,review score,star rating | f=rating;u=stars
reviews | int 0 4000 | Reviews,# Reviews,Number of Reviews,Review Count | reviews,number of reviews,review count | have=reviews
guestname | name | Guest,Guest Name,Booked By,Name,Lead Guest | guest,guest name |
room | int 101 699 | Room,Room No,Room Number,Rm | room,room number |
roomtype | cat Single/Double/Suite/Twin/Family/Deluxe | Room Type,Type,Room Category | room type,room category |
nights | int 1 21 | Nights,No. of Nights,Stay,Nights Booked | nights,number of nights,nights booked | u=nights;v=stay,stayed
checkin | date | Check-in,Check In,Arrival,Arrival Date,CheckIn Date | check-in,arrival,check-in date | part=checking in,arriving
checkout | date | Check-out,Check Out,Departure,Departure Date | check-out,departure,check-out date | part=checking out,leaving,departing
bookstatus | cat Confirmed/Cancelled/No-show/Checked In/Checked Out/Tentative/Waitlisted | Status,Booking Status,Reservation Status | status,booking status,reservation status | adj
channel | cat Direct/Booking.com/Expedia/Phone/Agency/Walk-in/Website | Channel,Booking Source,Source,Booked Via | channel,booking source,source |
occupancy | pct 10 100 | Occupancy,Occupancy %,Occupancy Rate,Occ. | occupancy,occupancy rate |
book | cat Dune/Emma/Ulysses/Beloved/Hamlet/Persuasion/Middlemarch/Dracula | Title,Book Title,Book,Book Name | title,book title,book |
author | name | Author,Writer,Author Name,By | author,writer |
genre | cat Fiction/Mystery/Biography/Poetry/Fantasy/Romance/Sci-Fi/Thriller/Drama/Comedy/Horror | Genre,Type,Genre Name | genre | adj
isbn | code 978-#-##-###### | ISBN,ISBN-13,Book Code | isbn,book code |
pages | int 60 1200 | Pages,Page Count,No. of Pages,Pgs | pages,page count,number of pages | have=pages;f=length
pubyear | year 1850 2024 | Year,Publication Year,Published,Year Published,Pub. Year | publication year,year published,year of publication | part=published;f=built
borrower | name | Borrower,Borrowed By,Member,Reader | borrower,member,reader |
borrowed | date | Borrowed On,Loan Date,Issue Date,Checkout Date | loan date,checkout date,borrow date | part=borrowed,lent,checked out
returned | date | Returned On,Return Date,Date Returned,Returned | return date,date returned | part=returned
fine | money 1 60 | Fine,Late Fee,Penalty,Fine Amount | fine,late fee,penalty | v=owe a fine of
copies | int 0 60 | Copies,Copies Available,No. of Copies,Copies Left | copies,copies available,number of copies | have=copies
vehicle | cat Van/Truck/Sedan/SUV/Pickup/Bus/Trailer/Motorbike | Vehicle Type,Vehicle,Type,Body Type,Vehicle Class | vehicle type,type of vehicle |
plate | code AAA-### | Plate,License Plate,Reg No,Registration,Plate No | plate,license plate,registration |
model | cat Corolla/Civic/Focus/Golf/Transit/Sprinter/Model 3/Octavia/Ranger | Model,Car Model,Model Name,Vehicle Model | model,car model |
mileage | int 500 280000 | Mileage,Odometer,Miles,Km Driven,Odo (km),Kilometers | mileage,odometer,odometer reading | u=km/miles/mi
fuel | cat Diesel/Petrol/Electric/Hybrid/LPG | Fuel,Fuel Type,Engine Type,Power Source | fuel,fuel type | adj
mpg | num 3 25 1 | Consumption,L/100km,Fuel Consumption,Fuel Economy,MPG | consumption,fuel consumption | u=l/100km
lastservice | date | Last Service,Serviced On,Last Serviced,Service Date,Last Maintenance | last service,service date,last maintenance | part=serviced,last serviced
nextservice | date | Next Service,Service Due,Next Inspection,Inspection Due,MOT Due | next service,next inspection,service due date | part=due for service
driver | name | Driver,Driver Name,Assigned Driver,Operator | driver,driver name,operator |
fuelcost | money 20 900 | Fuel Cost,Fuel Spend,Fuel (USD),Gas Cost | fuel cost,fuel spend |
speed | int 5 180 | Speed,Avg Speed,Speed (km/h),Max Speed,Velocity | speed,velocity | f=speed;u=km/h/kph/mph
origin | city | Origin,From,Departure City,Source,Ship From,Pickup | origin,departure city,pickup location |
dest | city | Destination,To,Arrival City,Dest.,Ship To,Drop-off | destination,arrival city,drop-off location |
distance | int 1 4000 | Distance,Distance (km),Km,Dist,Route Length,Miles | distance,route length,mileage | f=distance;u=km/miles/kilometers
weightlb | int 1 2500 | Weight,Gross Weight,Weight (kg),Package Weight,Shipment Weight,Wt. | weight,gross weight,package weight | f=weight;u=kg/kgs/lbs
volume | num 0 80 1 | Volume,Volume (m3),CBM,Vol. | volume,cubic volume | u=m3/cbm
carrier | cat DHL/UPS/FedEx/GLS/Maersk/DPD/USPS | Carrier,Courier,Shipper,Forwarder,Transporter | carrier,courier,shipper,forwarder |
tracking | code TRK####### | Tracking No,Tracking Number,Tracking,AWB,Tracking ID | tracking number,tracking id |
transit | int 1 45 | Transit Days,Transit Time,Days in Transit,Lead Time | transit time,days in transit,lead time | u=days;v=take
shipstatus | cat In Transit/Delivered/Delayed/Customs/Lost/Loaded/Awaiting Pickup | Status,Shipment Status,Delivery Status,Tracking Status | status,shipment status,delivery status | adj
pallets | int 1 40 | Pallets,No. of Pallets,Plt,Pallet Count | pallets,number of pallets | have=pallets
team | cat Lions/Tigers/Hawks/Wolves/Sharks/Rangers/Rovers/United/Eagles | Team,Club,Squad,Team Name,Side | team,club,squad |
player | name | Player,Player Name,Athlete,Name | player,player name,athlete |
pos | cat Goalkeeper/Defender/Midfielder/Forward/Striker/Winger | Position,Pos,Playing Position,Role | position,playing position |
goals | int 0 45 | Goals,Goals Scored,G,Gls,Total Goals | goals,goals scored,number of goals | have=goals;v=scored
assists | int 0 30 | Assists,A,Ast,Total Assists | assists,number of assists | have=assists
wins | int 0 38 | Wins,W,Won,Games Won,Victories | wins,games won,victories | v=won;have=wins
losses | int 0 38 | Losses,L,Lost,Games Lost,Defeats | losses,games lost,defeats | v=lost;have=losses
draws | int 0 20 | Draws,D,Drawn,Ties | draws,ties | have=draws
points | int 0 110 | Points,Pts,Total Points,League Points | points,league points,total points | have=points
matches | int 0 60 | Matches,Games Played,GP,Apps,Played,Appearances | games played,matches played,appearances | v=played
minutes | int 0 3400 | Minutes,Minutes Played,Mins,Min | minutes played,minutes,playing time | u=minutes/mins
yellow | int 0 15 | Yellow Cards,Yellows,YC,Bookings | yellow cards,bookings | have=yellow cards
red | int 0 4 | Red Cards,Reds,RC,Sent Off | red cards,sendings off | have=red cards
fouls | int 0 60 | Fouls,Fouls Committed,PF | fouls,fouls committed | v=committed;have=fouls
mvalue | money 100000 90000000 | Market Value,Value,Transfer Value,Valuation | market value,transfer value,valuation |
racetime | num 9 240 2 | Time (s),Finish Time,Race Time,Time,Lap Time,Split | finish time,race time,lap time,time | f=racetime;u=seconds/s/sec
medals | int 0 60 | Medals,Total Medals,Medal Count | medals,medal count,total medals | v=won;have=medals
gold | int 0 30 | Gold,Gold Medals,Golds | gold medals,golds | have=gold medals
nationality | cat French/Brazilian/German/Kenyan/Japanese/Spanish/Dutch | Nationality,Citizenship,Nat. | nationality,citizenship | adj
ticker | code AAAA | Ticker,Symbol,Stock Symbol,Ticker Symbol | ticker,symbol,stock symbol |
shareprice | money 2 900 | Price,Share Price,Close,Closing Price,Last Price | share price,closing price,close,price | 
openp | money 2 900 | Open,Opening Price,Open Price | opening price,open |
highp | money 2 900 | High,Day High,Intraday High | day high,high,daily high |
lowp | money 2 900 | Low,Day Low,Intraday Low | day low,low,daily low |
change | pct -12 14 | Change,% Change,Chg %,Day Change,24h Change,Change (%) | change,percent change,daily change,movement | v=moved by
tvolume | int 1000 9000000 | Volume,Trading Volume,Shares Traded,Vol,24h Volume | volume,trading volume,shares traded |
mcap | money 1000000 900000000 | Market Cap,Mkt Cap,Capitalization,Cap | market cap,market capitalization,capitalization |
pe | num 3 80 1 | P/E,PE Ratio,P/E Ratio,Price/Earnings | p/e,pe ratio,price earnings ratio |
dividend | pct 0 9 | Dividend Yield,Div Yield,Yield,Dividend % | dividend yield,yield,dividend |
sector | cat Tech/Energy/Healthcare/Utilities/Finance/Retail/Materials/Telecom | Sector,Industry,Industry Sector | sector,industry |
shares | int 1 5000 | Shares,Shares Held,No. of Shares,Holdings,Units Held | shares held,number of shares,holdings |
roi | pct -30 90 | ROI,Return,Return %,Annual Return,Total Return | roi,return,return on investment | v=returned
coin | cat Bitcoin/Ethereum/Solana/Cardano/Ripple/Litecoin/Polkadot | Coin,Cryptocurrency,Token,Asset | coin,token,cryptocurrency |
loan | money 1000 600000 | Loan Amount,Loan,Principal,Amount Borrowed,Loan Amt | loan amount,loan,principal,amount borrowed | v=borrowed
interest | pct 1 24 | Interest Rate,Rate,APR,Interest %,Int. Rate | interest rate,rate,apr,interest |
term | int 6 360 | Term,Term (months),Loan Term,Duration,Tenor | term,loan term,duration | u=months;f=length
installment | money 50 4000 | Installment,Monthly Payment,EMI,Repayment | installment,monthly payment,repayment,emi | v=pay
creditscore | int 320 850 | Credit Score,FICO,FICO Score,Cr Score | credit score,fico score |
loanstatus | cat Approved/Rejected/Under Review/Defaulted/Active/Closed/Pending | Status,Loan Status,Application Status,Decision | status,loan status,application status,decision | adj
premium | money 50 4000 | Premium,Annual Premium,Premium Amount,Premium Paid | premium,annual premium,insurance premium | v=pay
claim | money 100 90000 | Claim Amount,Claim,Claimed,Amount Claimed,Claim Value | claim amount,amount claimed,claim | v=claimed
policy | code POL-#### | Policy No,Policy Number,Policy ID,Policy | policy number,policy id,policy |
claimstatus | cat Approved/Denied/Pending/Paid/Under Investigation/Closed | Status,Claim Status,Decision,Outcome | status,claim status,decision | adj
expiry | date | Expiry Date,Expires,Expiration,Exp. Date,Valid Until,Best Before,Expiration Date | expiry date,expiration date,expiry,use-by date | part=expiring,that expire
campaign | cat Spring Sale/Black Friday/Retargeting/Newsletter/Brand Awareness/Back to School | Campaign,Campaign Name,Ad Campaign | campaign,campaign name |
clicks | int 0 20000 | Clicks,Link Clicks,Total Clicks,Click Count | clicks,number of clicks,click count | have=clicks;v=got
impressions | int 100 900000 | Impressions,Impr.,Views,Ad Views | impressions,ad views,number of impressions | have=impressions
ctr | pct 0 15 | CTR,Click Rate,Click-through Rate,CTR % | ctr,click rate,click-through rate |
conv | int 0 900 | Conversions,Conv.,Sign-ups,Purchases | conversions,number of conversions,sign-ups | have=conversions
convrate | pct 0 20 | Conversion Rate,Conv. Rate,CVR,Conv % | conversion rate,cvr |
cpc | money 1 12 | CPC,Cost per Click,Avg CPC | cost per click,cpc |
adspend | money 50 60000 | Ad Spend,Spend,Amount Spent,Media Cost | ad spend,amount spent,media cost | v=spent
bounce | pct 5 95 | Bounce Rate,Bounce %,Bounces | bounce rate,bounces |
openrate | pct 2 75 | Open Rate,Opens %,Open % | open rate,opens |
leads | int 0 500 | Leads,Leads Generated,# Leads,New Leads | leads,leads generated,number of leads | have=leads;v=generated
platform | cat Facebook/Google/Instagram/TikTok/LinkedIn/YouTube/Twitter | Platform,Network,Ad Network,Site | platform,network,ad network |
followers | int 50 900000 | Followers,Follower Count,Subscribers,Subs | followers,follower count,subscribers | have=followers,subscribers
likes | int 0 90000 | Likes,Like Count,Total Likes,Thumbs Up | likes,number of likes,like count | have=likes;v=got
shares2 | int 0 9000 | Shares,Share Count,Reposts,Retweets | shares,share count,reposts | have=shares
ccount | int 0 5000 | Comments,Comment Count,# Comments,Replies | comment count,number of comments,replies | have=comments,replies
views | int 10 5000000 | Views,View Count,Plays,Page Views,Hits | views,view count,page views | have=views;f=popular
posted | date | Posted On,Publish Date,Date Posted,Published On | posting date,publish date,publication date | part=posted,published,uploaded
event | cat Gala/Workshop/Concert/Webinar/Conference/Fair/Meetup/Hackathon | Event,Event Type,Event Name,Type of Event | event,event type,event name |
venue | cat Grand Hall/Riverside/City Arena/Hotel Plaza/Opera House/Main Stage | Venue,Place,Hall,Event Location | venue,hall,event location |
eventdate | date | Event Date,Date,Held On,Scheduled,When | event date,date,day of the event | part=held,scheduled,taking place
attendees | int 5 4000 | Attendees,Attendance,Visitors,Participants,Headcount | attendees,number of attendees,participants,visitors,headcount | have=attendees,participants
ticketprice | money 5 400 | Ticket Price,Price,Entry Fee,Admission,Fee | ticket price,entry fee,admission fee | f=price
ticketsold | int 0 9000 | Tickets Sold,Sold,Tickets,Sales (tickets) | tickets sold,ticket sales | v=sold
rsvp | cat Yes/No/Maybe/Declined/Accepted | RSVP,Response,RSVP Status,Attending? | rsvp,response,rsvp status |
speaker | name | Speaker,Presenter,Host,Keynote | speaker,presenter,host |
duration | int 5 300 | Duration,Duration (min),Length,Run Time,Minutes | duration,length,running time | f=duration;u=minutes/min/mins
candidate | name | Candidate,Candidate Name,Nominee,Name | candidate,candidate name,nominee |
party | cat Green/Labour/Liberal/Conservative/Independent/Unity | Party,Political Party,Affiliation | party,political party |
votes | int 100 900000 | Votes,Votes Received,Vote Count,Total Votes,# Votes | votes,votes received,vote count | have=votes;v=got,received
voteshare | pct 1 70 | Vote Share,Share %,% of Votes,Share of Vote | vote share,share of votes,percentage of votes |
turnout | pct 20 95 | Turnout,Voter Turnout,Turnout % | turnout,voter turnout |
district | cat District 1/District 2/District 7/Riverside/Hillcrest/Downtown/Lakeview | District,Constituency,Precinct,Ward | district,constituency,precinct |
station | code ST-## | Station,Station ID,Station Code,Site | station,station id,site |
temp | num -20 42 1 | Temperature,Temp,Temp (°C),Avg Temp,Air Temp,T (C) | temperature,temp,air temperature | f=temp;u=degrees/°C/C
maxtemp | num 0 45 1 | Max Temp,High Temp,Tmax,Daily High | max temp,maximum temperature,daily high | u=degrees/°C
mintemp | num -25 25 1 | Min Temp,Low Temp,Tmin,Daily Low | min temp,minimum temperature,daily low | u=degrees/°C
humidity | pct 10 100 | Humidity,Humidity %,RH,Relative Humidity | humidity,relative humidity |
rain | num 0 120 1 | Rainfall,Rain (mm),Precipitation,Precip. | rainfall,rain,precipitation | f=wet;u=mm
wind | int 0 140 | Wind Speed,Wind,Wind (km/h),Gusts | wind speed,wind,gusts | f=wind;u=km/h/kph
pressure | int 950 1050 | Pressure,Air Pressure,Pressure (hPa),Barometer | pressure,air pressure | u=hPa
sky | cat Sunny/Cloudy/Rainy/Snowy/Foggy/Stormy/Clear | Conditions,Weather,Sky,Forecast | conditions,weather,sky | adj
aqi | int 5 320 | AQI,Air Quality,Air Quality Index,PM2.5 | aqi,air quality,air quality index |
snow | int 0 120 | Snow Depth,Snow (cm),Snowfall,Snow | snow depth,snow,snowfall | u=cm;f=depth
kwh | int 50 12000 | kWh,Consumption,Energy Use,Usage (kWh),Electricity Used,Energy | energy use,consumption,electricity usage,usage,energy consumption | u=kWh;v=use,used,consume
meter | code MTR-#### | Meter ID,Meter,Meter No | meter,meter id |
co2 | num 0 900 1 | CO2,CO2 Emissions,Emissions,Carbon (t),Emissions (t) | emissions,co2 emissions,carbon footprint | u=tons/t;v=emit
peak | int 1 900 | Peak Demand,Peak Load,Peak (kW) | peak demand,peak load | u=kW
tariff | cat Standard/Economy 7/Night/Green/Flat | Tariff,Plan,Rate Plan,Price Plan | tariff,plan,rate plan |
efficiency | pct 20 99 | Efficiency,Efficiency %,Eff. | efficiency,efficiency rate | max=most efficient;min=least efficient
source | cat Solar/Wind/Hydro/Coal/Nuclear/Gas/Biomass | Source,Energy Source,Fuel Source,Type | energy source,source |
crop | cat Wheat/Corn/Soybean/Barley/Rice/Potato/Cotton/Canola | Crop,Crop Type,Plant,Crop Name | crop,crop type,plant |
field | code F-## | Field,Plot,Field ID,Parcel | field,plot,parcel |
yield | num 1 14 1 | Yield,Yield (t/ha),Harvest,Output | yield,harvest,crop yield | u=t/ha/tons;v=yield
hectares | num 1 300 1 | Hectares,Area (ha),Acres,Field Size | area,acreage,field size,hectares | u=ha/hectares/acres;f=area
moisture | pct 5 60 | Moisture,Soil Moisture,Moisture % | moisture,soil moisture,moisture level |
harvest | date | Harvest Date,Harvested,Harvested On,Date of Harvest | harvest date,date of harvest | part=harvested
planted | date | Planting Date,Planted,Sown On,Sowing Date | planting date,sowing date | part=planted,sown
irrigated | bool Yes/No | Irrigated,Irrigation,Watered | irrigated,irrigation |
fertilizer | int 0 300 | Fertilizer,Fertilizer (kg),Fert. Used | fertilizer,fertilizer used | u=kg
animal | cat Cow/Sheep/Goat/Pig/Horse/Chicken/Duck | Animal,Species,Livestock,Animal Type | animal,species,livestock |
breed | cat Holstein/Angus/Merino/Beagle/Siamese/Poodle/Persian/Labrador | Breed,Breed Name,Strain | breed |
milk | num 5 45 1 | Milk (L),Milk Yield,Daily Milk,Liters | milk yield,milk,daily milk | u=liters/l;v=give
vaccinated | bool Yes/No | Vaccinated,Vaccinated?,Shots,Immunized | vaccinated,vaccination,immunized |
owner | name | Owner,Owner Name,Pet Owner,Keeper | owner,owner name |
member | name | Member,Member Name,Name,Subscriber | member,member name,subscriber |
memtype | cat Gold/Silver/Platinum/Basic/Premium/Student/Trial | Membership,Membership Type,Plan,Tier,Level | membership,membership type,tier,plan |
joined | date | Joined,Join Date,Member Since,Signup Date,Registered On | join date,signup date,registration date | part=who joined,joined,registered,who signed up
visits | int 0 60 | Visits,Visits/Month,Check-ins,Times Visited | visits,number of visits,check-ins | have=visits
active | bool Active/Inactive | Status,Active?,Membership Status,Account Status | status,account status,membership status | adj
lastlogin | date | Last Login,Last Seen,Last Active,Last Sign-in | last login,last activity,last sign-in | part=last seen,who last logged in
steps | int 500 25000 | Steps,Daily Steps,Step Count,Steps Walked | steps,step count,daily steps | have=steps;v=walked
sleep | num 3 10 1 | Sleep,Sleep (h),Hours Slept,Sleep Hours | sleep,hours slept,sleep hours | u=hours/h;v=slept
burned | int 50 1500 | Calories Burned,Burned (kcal),kcal Burned | calories burned,burned calories | u=kcal;v=burned
reps | int 1 40 | Reps,Repetitions,Rep Count | reps,repetitions | have=reps
sets | int 1 8 | Sets,No. of Sets,Set Count | sets,number of sets | have=sets
workout | cat Running/Yoga/Cycling/Swimming/Boxing/Rowing/Pilates | Workout,Activity,Exercise,Workout Type,Sport | workout,activity,exercise |
lift | int 20 240 | Max Lift,Load (kg),Weight Lifted,Load | weight lifted,load,max lift | u=kg;v=lifted
population | int 500 9000000 | Population,Pop.,Inhabitants,Population (2020),Residents,Total Population | population,number of inhabitants,inhabitants,residents | f=pop;have=inhabitants,residents
density | num 1 9000 1 | Density,Pop. Density,People/km2 | density,population density |
gdp | money 500 90000 | GDP per Capita,GDP,GDP/Capita,GDP pc | gdp,gdp per capita | max=richest,wealthiest;min=poorest
lifeexp | num 50 86 1 | Life Expectancy,Life Exp.,Expected Life | life expectancy,expected lifespan | u=years
literacy | pct 30 100 | Literacy,Literacy Rate,Literate % | literacy,literacy rate |
unemp | pct 1 30 | Unemployment,Unemployment Rate,Jobless % | unemployment,unemployment rate,jobless rate |
areakm | int 5 900000 | Area,Area (km2),Land Area,Surface | area,land area,surface area | f=area;u=km2/sq km
elev | int -50 5500 | Elevation,Altitude,Elevation (m),Height (m),Alt. | elevation,altitude | u=m/meters;max=highest;min=lowest
continent | cat Africa/Asia/Europe/Oceania/North America/South America | Continent,World Region | continent,world region |
language | cat French/English/Arabic/Spanish/Hindi/Mandarin/Swahili | Language,Official Language,Main Language,Lang | language,main language,official language |
respondent | code R### | Respondent,Respondent ID,Resp. ID,Participant | respondent,respondent id,participant |
satis | int 1 10 | Satisfaction,Overall Satisfaction,Satisfaction Score,CSAT | satisfaction,satisfaction score,csat | max=happiest,most satisfied;min=unhappiest,least satisfied
nps | int 0 10 | NPS,Recommend Score,Likelihood to Recommend | nps,recommendation score,nps score |
answer | cat Agree/Disagree/Strongly Agree/Neutral/Strongly Disagree | Q1,Answer,Response,Opinion | answer,response,opinion |
education | cat High School/Bachelor/Master/PhD/Diploma/None | Education,Education Level,Degree,Highest Degree | education,education level,degree |
marital | cat Single/Married/Divorced/Widowed | Marital Status,Civil Status,Family Status | marital status,civil status | adj
income | money 8000 180000 | Income,Household Income,Yearly Income,Annual Income | income,household income,yearly income | v=earn,make;max=wealthiest,richest;min=poorest
children | int 0 6 | Children,Kids,No. of Children,Dependents | children,kids,number of children,dependents | have=children,kids
feedback | text feedback | Feedback,Comments,Review,Open Answer | feedback,review,open answer |
movie | cat Inception/Alien/Amelie/Parasite/Casablanca/Gravity/Rocky/Up | Movie,Film,Title,Movie Title | movie,film,title |
director | name | Director,Directed By,Film Director | director |
boxoffice | money 100000 900000000 | Box Office,Gross,Worldwide Gross,Box Office (USD) | box office,gross,worldwide gross | v=grossed,made
runtime | int 70 220 | Runtime,Run Time (min),Length,Duration | runtime,length,running time | f=duration;u=minutes/min/mins
relyear | year 1940 2024 | Year,Release Year,Released,Year of Release | release year,year of release,year | part=released;f=built
artist | name | Artist,Singer,Band,Performer | artist,singer,performer |
song | cat Imagine/Hello/Thriller/Yesterday/Halo/Believe/Africa/Clocks | Song,Track,Song Title,Track Name | song,track |
streams | int 1000 90000000 | Streams,Plays,Play Count,Stream Count | streams,plays,play count | have=streams,plays;f=popular
bpm | int 60 190 | BPM,Tempo,Beats/min | tempo,bpm,beats per minute | f=speed
part | product | Part,Part Name,Component,Material | part,component,part name |
machine | code M-### | Machine,Machine ID,Equipment,Asset ID,Line | machine,machine id,equipment |
output | int 10 9000 | Output,Units Produced,Production,Produced,Daily Output | output,units produced,production | v=produce,produced
defects | int 0 90 | Defects,Defective Units,Rejects,Scrap,# Defects | defects,rejects,number of defects,defective units | have=defects
defectrate | pct 0 12 | Defect Rate,Scrap %,Reject Rate,Failure Rate | defect rate,reject rate,failure rate,scrap rate |
downtime | int 0 600 | Downtime,Downtime (min),Down Time,Idle Time,Outage | downtime,idle time,outage time | u=minutes/min/mins
oee | pct 30 98 | OEE,OEE %,Equipment Effectiveness | oee,equipment effectiveness |
shift | cat Morning/Evening/Night/Day/Weekend | Shift,Shift Name,Work Shift,Rota | shift,work shift |
inspected | date | Inspected On,Inspection Date,QC Date,Checked On | inspection date,qc date,last inspection | part=inspected,checked
inspector | name | Inspector,QC Inspector,Checked By,Auditor | inspector,auditor |
qcresult | bool Pass/Fail | QC,QC Result,Inspection Result,Quality Check | qc result,inspection result,quality check |
batch | code B-#### | Batch,Batch No,Lot,Lot Number,Batch ID | batch,batch number,lot,lot number |
thickness | num 0 40 2 | Thickness,Thickness (mm),Thk | thickness | u=mm;gt=thicker than;lt=thinner than;max=thickest;min=thinnest
length | num 1 900 1 | Length,Length (cm),Len,L (mm) | length | f=length;u=cm/mm/m
width | num 1 300 1 | Width,Width (cm),W (mm),Breadth | width,breadth | u=cm/mm;gt=wider than;lt=narrower than;max=widest;min=narrowest
lifetime | int 1 40 | Lifetime,Lifespan,Service Life,Useful Life | lifetime,lifespan,service life | u=years
warranty | date | Warranty End,Warranty Expires,Warranty Until,Warranty Expiry | warranty end,warranty expiry | part=under warranty until
serial | code SN-##### | Serial No,Serial Number,S/N,Serial | serial number,serial no |
asset | cat Laptop/Monitor/Printer/Router/Server/Tablet/Projector/Phone | Asset,Device,Asset Type,Device Type,Hardware | asset type,device,device type |
os | cat Windows/Linux/macOS/Android/iOS | OS,Operating System,Platform | os,operating system |
ip | code 10.#.#.## | IP,IP Address,Host IP,Addr | ip address,ip |
cpu | pct 1 100 | CPU,CPU %,CPU Usage,CPU Load | cpu usage,cpu,cpu load,processor load |
ram | int 2 256 | RAM,Memory,RAM (GB),Memory (GB) | ram,memory | u=GB
disk | int 20 4000 | Disk,Disk Space,Storage (GB),Free Space,Disk Free (GB) | disk space,storage,free space | u=GB
uptime | num 80 100 2 | Uptime,Availability,Uptime Score | uptime,availability |
latency | int 1 900 | Latency,Ping,Latency (ms),Resp. (ms) | latency,ping,response latency | u=ms
errorsn | int 0 900 | Errors,Error Count,# Errors,Failures | error count,number of errors,failures | have=errors,failures
version | code v#.#.# | Version,Release,Build,Ver. | version,release,build |
requests | int 0 90000 | Requests,Requests/s,Hits,Calls | requests,number of requests,hits | have=requests
users | int 1 90000 | Users,Active Users,Users Online,DAU | users,active users,number of users | have=users
username | text user | Username,User,Login,User Name | username,user,login name |
role | cat Admin/Editor/Viewer/Guest/Owner/Moderator | Role,Access Level,User Role,Permission | role,access level,user role,permission |
verified | bool Yes/No | Verified,Email Verified,Confirmed,Is Verified | verified,verification |
subend | date | Renewal Date,Renews On,Subscription End,Next Billing | renewal date,subscription end,next billing date | part=renewing,that renew
mrr | money 10 9000 | MRR,Monthly Fee,Subscription Fee,Monthly Charge | monthly fee,monthly charge,subscription fee | v=pay
churn | pct 0 20 | Churn,Churn Rate,Churn % | churn,churn rate |
stage | cat Lead/Qualified/Proposal/Negotiation/Closed Won/Closed Lost/Prospect | Stage,Deal Stage,Pipeline Stage,Sales Stage | stage,deal stage,pipeline stage |
dealvalue | money 500 300000 | Deal Value,Deal Size,Value,Amount,Opportunity Value | deal value,deal size,opportunity value,value | v=are worth
prob | pct 5 95 | Probability,Win Probability,Prob %,Likelihood | probability,win probability,chance of winning |
lastcontact | date | Last Contact,Last Contacted,Contacted On,Last Call | last contact,last call,last contact date | part=contacted,last contacted
closedate | date | Expected Close,Close Date,Closing Date,Est. Close | expected close,close date,closing date | part=closing,expected to close
flight | code AA### | Flight,Flight No,Flight Number,Flt | flight,flight number |
airline | cat Lufthansa/KLM/Emirates/Delta/Qantas/Ryanair/Iberia | Airline,Operator,Carrier,Airline Name | airline,carrier |
delay | int 0 300 | Delay,Delay (min),Delayed By,Minutes Late | delay,minutes late,delay time | u=minutes/min/mins;v=are delayed by,were delayed by
gate | code A## | Gate,Gate No,Boarding Gate | gate,boarding gate |
pax | int 10 400 | Passengers,Pax,No. of Passengers,Passenger Count | passengers,number of passengers,passenger count | have=passengers
fare | money 20 1500 | Fare,Ticket Fare,Ticket Price,Price | fare,ticket fare,ticket price | f=price
fstatus | cat On Time/Delayed/Cancelled/Boarding/Landed/Diverted | Status,Flight Status,Remark | status,flight status | adj
seat | code ##A | Seat,Seat No,Seat Number | seat,seat number |
donor | name | Donor,Donor Name,Contributor,Giver | donor,contributor,donor name |
donation | money 5 20000 | Donation,Amount,Gift Amount,Contribution,Pledge | donation,donation amount,gift,contribution | v=gave,donated;max=most generous;min=least generous
fund | cat Education/Health/Arts/Relief/Research/Housing | Fund,Cause,Purpose,Program | fund,cause,purpose |
volunteer | name | Volunteer,Volunteer Name,Helper | volunteer,helper |
grantamt | money 1000 900000 | Grant,Grant Amount,Award,Award Amount,Funding | grant amount,award amount,funding,grant | v=received
decision | cat Accepted/Rejected/Waitlisted/Pending/Under Review/Withdrawn | Decision,Status,Outcome,Admission Decision | decision,outcome,admission decision | adj
applicant | name | Applicant,Applicant Name,Candidate,Name | applicant,applicant name,candidate |
interview | date | Interview Date,Interviewed On,Interview | interview date,interview,date of interview | part=interviewed
source2 | cat Referral/LinkedIn/Agency/Website/Job Fair | Source,Hiring Source,Recruited Via,Origin | source,hiring source |
expsal | money 20000 160000 | Expected Salary,Salary Expectation,Asking Salary,Desired Pay | expected salary,salary expectation,desired pay | v=ask for
mineral | cat Quartz/Pyrite/Gold/Copper/Iron Ore/Lithium/Zinc | Mineral,Ore,Ore Type,Commodity | mineral,ore,commodity |
depth | int 1 4000 | Depth,Depth (m),Drill Depth,Water Depth | depth,drill depth | f=depth;u=m/meters
magnitude | num 1 9 1 | Magnitude,Mag,Richter,Strength | magnitude,strength | max=strongest;min=weakest;gt=stronger than;lt=weaker than
casualties | int 0 900 | Casualties,Deaths,Injured,Fatalities | casualties,fatalities,victims | have=casualties
crime | cat Theft/Burglary/Assault/Fraud/Vandalism/Robbery | Offense,Crime Type,Incident Type,Charge | offense,crime,crime type,incident type |
officer | name | Officer,Reporting Officer,Investigator | officer,investigator,reporting officer |
incdate | date | Incident Date,Date Reported,Reported On,Occurred | incident date,report date,date of the incident | part=reported,that happened
vessel | cat Aurora/Neptune/Sirius/Poseidon/Odyssey/Calypso | Vessel,Ship,Boat,Ship Name | vessel,ship,boat |
cargo | int 10 90000 | Cargo (t),Cargo,Tonnage,Load (tons) | cargo,tonnage,cargo load | u=tons/t;v=carry
teu | int 10 20000 | TEU,Containers,Container Count | containers,container count | have=containers
species | cat Oak/Pine/Maple/Birch/Cedar/Willow/Robin/Heron/Salmon/Trout | Species,Species Name,Kind,Common Name | species,kind |
conserv | cat Endangered/Vulnerable/Least Concern/Extinct/Critically Endangered | Conservation Status,IUCN,Red List,Status | conservation status,red list status,status | adj
sightings | int 0 300 | Sightings,Count,Individuals Seen,Observed | sightings,number of sightings,individuals seen | have=sightings
seen | date | Observed On,Date Seen,Observation Date,Sighted | observation date,date seen | part=observed,seen,spotted
diameter | num 1 200 1 | Diameter,Diameter (cm),DBH,Trunk Diameter | diameter,trunk diameter | u=cm
treeheight | num 1 90 1 | Height (m),Tree Height,Height | height,tree height | f=height;u=m/meters
brightness | num 1 20 1 | Brightness,App. Brightness,Luminosity | brightness,luminosity | f=bright
mass | num 0 300 2 | Mass,Mass (kg),Mass (g) | mass | f=weight;u=kg/g
wine | cat Merlot/Malbec/Riesling/Chardonnay/Shiraz/Rioja | Wine,Grape,Variety,Wine Name | wine,grape,variety |
vintage | year 1980 2023 | Vintage,Vintage Year,Year | vintage,vintage year |
alcohol | pct 3 45 | Alcohol,ABV,Alcohol %,Alc. | alcohol,abv,alcohol content | max=strongest;min=weakest
bottles | int 0 600 | Bottles,Bottles in Stock,No. of Bottles | bottles,number of bottles,bottle count | have=bottles
color | cat Red/Blue/Green/Black/White/Silver/Yellow/Grey | Color,Colour,Paint,Finish | color,colour,paint |
sizec | cat S/M/L/XL/XXL/XS | Size,Clothing Size,Size Code | size,clothing size |
material | cat Steel/Wood/Plastic/Glass/Aluminium/Leather/Cotton | Material,Made Of,Fabric | material,fabric |
condition | cat New/Used/Refurbished/Damaged/Like New | Condition,Item Condition,Quality | condition,item condition | adj
returnrate | pct 0 40 | Return Rate,Returns %,Return % | return rate,share of returns |
bids | int 0 90 | Bids,# Bids,Number of Bids,Bid Count | bids,number of bids,bid count | have=bids
finalbid | money 5 9000 | Final Bid,Highest Bid,Winning Bid,Hammer Price | final bid,winning bid,hammer price | 
startbid | money 1 900 | Starting Bid,Start Price,Reserve,Opening Bid | starting bid,opening bid,reserve price |
hospital | cat St. Mary/General/Mercy/County/Hope Clinic | Hospital,Facility,Clinic,Site | hospital,facility,clinic |
beds | int 5 900 | Beds,Bed Count,Number of Beds,Hospital Beds | beds,bed count,number of beds | have=beds
nurses | int 1 400 | Nurses,Nursing Staff,# Nurses | nurses,nursing staff,number of nurses | have=nurses
cases | int 0 90000 | Cases,Confirmed Cases,New Cases,Case Count | cases,new cases,confirmed cases | have=cases
deaths | int 0 2000 | Deaths,Death Toll,Total Deaths | deaths,death toll | have=deaths
doses | int 0 900000 | Doses,Doses Given,Vaccinations,Shots Given | doses given,vaccinations,doses | have=doses
route | code R## | Route,Route No,Line,Route ID | route,route number,line |
stops | int 2 60 | Stops,No. of Stops,Stop Count | stops,number of stops | have=stops
ontime | pct 40 100 | On-time %,Punctuality,On-Time Rate,OTP | punctuality,on-time rate,on-time percentage | max=most punctual;min=least punctual
riders | int 10 9000 | Riders,Ridership,Passengers/day,Boardings | riders,ridership,boardings | have=riders
voltage | num 1 480 1 | Voltage,Volts,Voltage (V),V | voltage,volts | u=V/volts
current | num 0 60 1 | Current,Amps,Current (A) | current,amps | u=A/amps
power | num 0 900 1 | Power,Watts,Power (W),Wattage | power,wattage | u=W/watts
vibration | num 0 20 2 | Vibration,Vib. (mm/s),Vibration Level | vibration,vibration level | u=mm/s
noise | int 20 120 | Noise (dB),Noise Level,Noise,dB | noise level,noise,sound level | u=dB/decibels;f=loud
filename | text file | File,File Name,Filename,Document | file,file name,document |
filesize | num 0 900 1 | Size (MB),File Size,Size,MB | file size,size | u=MB;f=size
ftype | cat PDF/DOCX/XLSX/PNG/MP4/CSV | Type,File Type,Extension,Format | file type,extension,format | adj
downloads | int 0 90000 | Downloads,Download Count,# Downloads,DLs | downloads,number of downloads,download count | have=downloads
course | cat Python 101/Data Science/Excel Basics/Public Speaking/UX Design | Course,Course Title,Training,Class Name | course,training |
lessons | int 1 80 | Lessons,Modules,No. of Lessons | lessons,number of lessons | have=lessons
complrate | pct 5 100 | Completion Rate,Completed %,Finish Rate | completion rate,finish rate |
certified | bool Yes/No | Certified,Certificate,Certificate Issued | certified,certificate |
judge | name | Judge,Referee,Juror | judge,juror |
court | cat District Court/Supreme Court/Appeals/Family Court | Court,Tribunal | court,tribunal |
hearing | date | Hearing Date,Court Date,Hearing,Next Hearing | hearing date,court date,next hearing | part=heard
contractval | money 1000 2000000 | Contract Value,Contract Amount,TCV,Value | contract value,contract amount,value of the contract | v=are worth
signed | date | Signed On,Date Signed,Signature Date,Contract Date | signing date,signature date,date signed | part=signed
approved | bool Yes/No | Approved,Approved?,Approval,Signed Off | approved,approval |
rank | int 1 200 | Rank,Ranking,World Rank | rank,ranking | 
difficulty | cat Easy/Moderate/Hard/Expert/Beginner | Difficulty,Level,Grade,Difficulty Level | difficulty,level,difficulty level | adj
trail | cat Eagle Ridge/Mirror Lake/Bear Canyon/Cedar Loop/Sunset Peak | Trail,Trail Name,Hike,Route Name | trail,hike |
gain | int 10 2400 | Elevation Gain,Ascent,Climb (m),Gain | elevation gain,ascent,climb | u=m/meters
unitsret | int 0 400 | Returns,Units Returned,Returned Units,Qty Returned | returns,units returned,number of returns | have=returns
calls | int 0 200 | Calls,Calls Handled,# Calls,Call Count | calls,calls handled,number of calls | have=calls;v=handled,took
callmin | num 0 40 1 | Talk Time,Call Duration,AHT,Avg Handle Time (min) | talk time,call duration,handle time | u=minutes/min
abandoned | pct 0 35 | Abandon Rate,Abandoned %,Dropped % | abandon rate,abandonment rate,drop rate |
seats | int 10 900 | Seats,Seat Count,Seating | seats,number of seats,seat count | have=seats
seatswon | int 0 300 | Seats Won,Seats,MPs Elected | seats won,number of seats |
toxicity | num 0 9 2 | Lead (ppm),Toxin Level,Contaminant | contamination,toxin level,lead level | u=ppm
deposit | money 50 5000 | Deposit,Security Deposit,Advance,Down Payment | deposit,advance,down payment |
allergy | cat Nuts/Dairy/Gluten/Shellfish/Pollen/None | Allergy,Allergies,Allergen | allergy,allergen |
ppg | num 0 36 1 | PPG,Points per Game,Pts/G | points per game,ppg | v=average
reb | num 0 16 1 | RPG,Rebounds,Reb | rebounds,rebounds per game | 
fgp | pct 20 70 | FG%,Field Goal %,Shooting % | field goal percentage,shooting percentage |
batting | num 0 1 3 | AVG,Batting Average,BA | batting average |
headcount | int 2 400 | Employees,Headcount,Staff,No. of Employees,FTE | employees,headcount,number of employees,staff size | have=employees
star | cat Sirius/Vega/Rigel/Deneb/Altair/Mars/Venus/Pluto/Ceres | Star,Object,Body,Star Name | star,object name,celestial body |
homeruns | int 0 60 | HR,Home Runs,Homers | home runs,homers | v=hit;have=home runs
"""

POOLS: dict[str, list[str]] = {
    "first": "Ana Ben Carla Dmitri Elena Farid Grace Hiro Ingrid James Kofi Lucia Mehmet Nadia Omar Priya Quentin Rosa Sven Tara "
    "Uma Victor Wei Ximena Yusuf Zoe Liam Olivia Noah Emma Ravi Chen Fatima Lars Chloe Diego Maya Igor Aisha Tom José Zoë".split(),
    "last": "Smith Garcia Müller Patel Kim Nguyen Rossi Ivanov Silva Okafor Haddad Tanaka Larsen Dubois Novak Brown Jones Lopez Khan "
    "Chen Walker Costa Murphy Schmidt Singh Yilmaz Kowalski Andersson Moreau Bianchi O'Neil Baker Reed Stone Fox".split(),
    "city": "Paris,London,Berlin,Madrid,Rome,Oslo,Lima,Cairo,Tokyo,Mumbai,Sydney,Boston,Chicago,Denver,Austin,Seattle,Toronto,Nairobi,"
    "Lagos,Dubai,Seoul,Prague,Vienna,Lisbon,Dublin,Zurich,São Paulo,Buenos Aires,New York,Los Angeles,Hong Kong,Cape Town,München,"
    "Lyon,Porto,Kyiv,Leeds,San Diego,Ghent,Bogotá".split(","),
    "country": "France,Germany,Spain,Italy,Japan,China,India,Brazil,Mexico,Canada,USA,United Kingdom,Kenya,Nigeria,Egypt,Norway,Sweden,"
    "Poland,Turkey,Greece,Peru,Chile,Vietnam,South Korea,New Zealand,South Africa,Côte d'Ivoire,Portugal,Ireland".split(","),
    "company": "Acme Corp,Globex,Initech,Umbrella Ltd,Stark Industries,Wayne Ent.,Hooli,Vandelay,Soylent,Contoso,Fabrikam,Northwind,"
    "Tyrell,Cyberdyne,Blue Sky GmbH,Delta & Sons,Green Leaf Co,Apex Foods,Orion SA,Sunrise Traders,Pinnacle,NovaTech,K2 Media".split(","),
    "product": "Laptop,Desk Lamp,Office Chair,USB Cable,Notebook,Backpack,Headphones,Monitor,Coffee Maker,Water Bottle,Blender,T-Shirt,"
    "Running Shoes,Keyboard,Wireless Mouse,Printer Paper,Toaster,Yoga Mat,Drill,Hammer,Sofa,Phone Case,Rice 5kg,Olive Oil,Bolt M8,"
    "Pump,Gasket,Bearing 6204,Filter,Valve".split(","),
    "addr": "12 Oak Street,5 Main Rd,77 Hill Ave,221B Baker St,9 Rue de Rivoli,3 Park Lane,45 Elm Drive,18 King's Way,600 Lake Blvd".split(","),
    "memo": "Office rent,Grocery store,Salary May,ATM withdrawal,Electric bill,Refund,Coffee shop,Bank fee,Amazon purchase,Wire transfer,"
    "Gas station,Insurance,Monthly subscription,Hotel Berlin,Train ticket".split(","),
    "notes": "call back,needs review,urgent,paid in cash,see attachment,n/a,waiting for parts,VIP,duplicate entry,check with Bob,to be "
    "confirmed,out of office,approved by phone,late fee waived,fragile,follow up next week,missing documents".split(","),
    "issue": "Login error,Printer offline,Password reset,VPN down,Slow network,Email bounce,Blue screen,App crash,Cannot print,Disk full,"
    "Access denied,Payment failed,Broken link,Screen flicker".split(","),
    "task": "Design mockup,Write tests,Kickoff meeting,Data migration,Update docs,Order materials,Final review,Pour foundation,Code review,"
    "Client demo,Install wiring,Budget approval,Paint walls,Deploy release".split(","),
    "feedback": "great service,too slow,very friendly staff,never again,good value,broken on arrival,love it,could be better,refund "
    "requested,fast delivery,wrong size,excellent quality,not as described".split(","),
    "user": "jsmith,maria.g,admin01,guest_77,k.tanaka,dev-ops,li.wei,root,svc_backup,anna_b,t.brown,user123,p_novak".split(","),
    "file": "report_final.pdf,budget2024.xlsx,logo.png,notes.docx,invoice_88.pdf,data.csv,slides_v2.pptx,backup.zip,readme.txt,scan001.jpg".split(","),
    "domain": "gmail.com,example.org,acme.com,yahoo.com,outlook.com,mail.ru,uni.edu,company.co.uk".split(","),
}

# words that people look for in sheets without saying in which column: single words, codes, phrases, other languages
LITERALS = (
    "Yes,No,N/A,OK,Done,Pending,TBD,Open,Closed,Pass,Fail,True,False,High,Low,Medium,Urgent,Error,Complete,In Progress,On Hold,Cancelled,"
    "Approved,Rejected,Draft,Final,Sold out,Out of stock,Overdue,Paid,Unpaid,Late,Absent,Present,Male,Female,X,x,-,+,?,A,B,C,D,F,Y,N,M,"
    "Total,Subtotal,Grand Total,Not Applicable,None,Nil,NULL,null,nan,unknown,missing,test,demo,refund,warning,critical,failed,success,"
    "Level 2,Phase 3,Q1,Q4 2023,Week 12,Type B,Class X,Group A,Room 204,Zone 5,Team Blue,Batch 7,Step 1,Tier 3,FY2022,Option C,"
    "A-101,PO#4471,INV-0092,SKU_778,ABC-123,X99,TX-2024-11,#REF,R2D2,v2.1.0,ISO-9001,EU-27,KB4012,B12,3rd floor,24/7,50/50,M&A,R&D,AT&T,"
    "john@acme.com,@gmail.com,info@example.org,.pdf,.com,https,www,oui,non,Ja,Nein,sí,да,нет,はい,いいえ,完了,合格,München,São Paulo,déjà vu,"
    "terminé,abgeschlossen,pagado,en cours,offen,Zmiana,BUONO,SCARSO,Größe,weiß,niño,rouge,azul,"
    "Monday,Friday,Sunday,January,March,New York,London,Paris,Tokyo,Texas,USA,UK,red,blue,green apple,dark chocolate,iPhone 14,Windows 10,"
    "sales manager,human resources,customer service,net income,cash flow,credit card,bank transfer,annual report,first quarter,"
    "Current assets,Long term assets,Expense,Income,Direct Plan-G,Level Number,HR Pending,low qty,Value Set,Normal Function,Mexico City"
).split(",")

# building blocks of column names that no domain has: the model must match words, not remember columns
HEADER_ADJ = (
    "Net,Gross,Total,Average,Max,Min,Initial,Final,Base,Adjusted,Planned,Actual,Estimated,Monthly,Annual,Weekly,Daily,Quarterly,Local,"
    "Foreign,Primary,Secondary,Internal,External,Domestic,Import,Export,Raw,Clean,Old,New,Previous,Current,Opening,Closing,Mean,Median,"
    "Peak,Idle,Active,Spare,Upper,Lower,Left,Right,Front,Rear,Q1,Q2,Q3,Q4,2019,2020,2021,2022,2023,YTD,Male,Female,Adult,Urban,Rural,"
    "Wholesale,Retail,Online,In-store,Fixed,Variable,Hidden,Public,Private,Federal,Solar,Marine,Digital,Paper,Frozen,Fresh,Organic"
).split(",")
HEADER_NOUN = (
    "Freight,Royalty,Toll,Surcharge,Headcount,Backlog,Throughput,Yield,Torque,Ripeness,Density,Salinity,Torsion,Voltage,Amplitude,Latency,"
    "Bandwidth,Footfall,Basket,Ridership,Tonnage,Acreage,Wingspan,Altitude,Payload,Thrust,Drag,Lift,Spread,Premium,Levy,Tariff,Quota,"
    "Allowance,Pension,Stipend,Dues,Claims,Premiums,Reserves,Assets,Liabilities,Equity,Debt,Income,Costs,Output,Input,Waste,Scrap,Losses,"
    "Gains,Exposure,Turnover,Growth,Decline,Index,Ratio,Factor,Coefficient,Score,Level,Rate,Share,Count,Volume,Weight,Length,Depth,Radius,"
    "Angle,Speed,Force,Mass,Charge,Flux,Dose,Titer,Absorbance,Hardness,Porosity,Clarity,Turbidity,Brix,Acidity,Fiber,Protein,Pollen,Ozone,"
    "Nitrate,Lead,Mercury,Sulfur,Carbon,Steel,Timber,Gravel,Cement,Fuel,Steam,Coal,Wheat,Maize,Cocoa,Coffee,Tea,Cattle,Poultry,Eggs,Milk,"
    "Honey,Wool,Cotton,Silk,Leather,Visitors,Bookings,Sessions,Bounces,Downloads,Installs,Crashes,Tickets,Incidents,Alarms,Faults,Repairs,"
    "Inspections,Audits,Permits,Licenses,Complaints,Refunds,Coupons,Vouchers,Deposits,Withdrawals,Transfers,Fees,Fines,Grants,Loans,Shifts,"
    "Breaks,Sick Days,Trips,Stops,Miles,Laps,Sets,Reps,Saves,Steals,Blocks,Aces,Birdies,Strikes,Runs,Wickets,Tackles"
).split(",")
HEADER_TEXT = (
    "Channel,Owner,Vendor,Warehouse,Bin,Shelf,Aisle,Dock,Lane,Berth,Gate,Terminal,Platform,Track,Zone,Sector,Cluster,Segment,Cohort,Tier,"
    "Class,Grade,Flavor,Color,Pattern,Texture,Fabric,Finish,Shape,Format,Medium,Genre,Mood,Theme,Topic,Keyword,Tag,Label,Flag,Marker,Code,"
    "Reviewer,Sponsor,Coach,Captain,Pilot,Curator,Editor,Nurse,Broker,Auditor,Lawyer,Plaintiff,Landlord,Branch,Campus,County,Parish,"
    "Village,River,Island,Harbor,Airport,Habitat,Soil,Strain,Variety,Enzyme,Protein Name,Gene,Allele,Reagent,Solvent,Catalyst,Outcome,"
    "Verdict,Reason,Cause,Remedy,Action,Next Step,Approval,Consent,Visibility,Mode,Phase,State,Result,Answer,Comment"
).split(",")

ABBREVIATIONS = {
    "quantity": "Qty", "amount": "Amt", "number": "No.", "department": "Dept", "average": "Avg", "date": "Dt", "total": "Tot",
    "temperature": "Temp", "customer": "Cust", "manager": "Mgr", "employee": "Emp", "product": "Prod", "description": "Desc",
    "account": "Acct", "balance": "Bal", "percent": "Pct", "hours": "Hrs", "minutes": "Mins", "weight": "Wt", "height": "Ht",
    "population": "Pop", "category": "Cat", "address": "Addr", "telephone": "Tel", "payment": "Pmt", "invoice": "Inv",
    "revenue": "Rev", "maximum": "Max", "minimum": "Min", "reference": "Ref", "project": "Proj", "actual": "Act", "estimate": "Est",
    "distance": "Dist", "delivery": "Del", "status": "Stat", "commission": "Comm", "discount": "Disc", "volume": "Vol",
    "transaction": "Txn", "shipping": "Ship", "rating": "Rtg", "score": "Scr", "length": "Len", "year": "Yr", "years": "Yrs",
}  # fmt: skip

@dataclass(frozen=True)
class Column:
    """One column concept: how it is headed, how it is talked about, and what values it holds (see the module docstring)."""

    key: str
    kind: str
    args: tuple[str, ...]
    headers: tuple[str, ...]
    mentions: tuple[str, ...]
    units: tuple[str, ...] = ()
    family: str = ""
    adjective: bool = False
    participles: tuple[str, ...] = ()
    have: tuple[str, ...] = ()
    greater: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    words: frozenset[str] = field(default=frozenset(), compare=False)

def _split(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())

def parse_columns(text: str) -> dict[str, Column]:
    """Parse column lines (format: module docstring) into `Column`s by key."""
    columns = {}
    for line in text.strip().splitlines():
        parts = [part.strip() for part in line.split("|")]
        key, kind_text, headers, mentions = parts[:4]
        extras = {}
        for extra in _split(parts[4], ";") if len(parts) > 4 else ():
            name, _, value = extra.partition("=")
            extras[name] = value
        kind, _, args = kind_text.partition(" ")
        family = FAMILIES.get(extras.get("f", ""), ("", "", "", "", ""))
        separators = {"cat": "/", "bool": "/", "code": "|", "text": "|"}
        mention_list = _split(mentions)
        columns[key] = Column(
            key=key,
            kind=kind,
            args=tuple(args.split(separators[kind])) if kind in separators else tuple(args.split()),
            headers=_split(headers),
            mentions=mention_list,
            units=_split(extras.get("u", ""), "/") if "km/h" not in extras.get("u", "") else ("km/h", "kph"),
            family=extras.get("f", ""),
            adjective="adj" in extras,
            participles=_split(extras.get("part", "")),
            have=_split(extras.get("have", "")),
            greater=_split(extras.get("gt", family[0])),
            less=_split(extras.get("lt", family[1])),
            most=_split(extras.get("max", family[2])),
            least=_split(extras.get("min", family[3])),
            verbs=_split(extras.get("v", family[4])),
            words=frozenset(word for mention in mention_list for word in mention.lower().split()),
        )
    return columns

COLUMNS = parse_columns(COLUMNS_TEXT)
